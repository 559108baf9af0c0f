// The one way in which readers of strangers' files say no: a LlamacError with a stable code, the file and the byte offset.

import { LlamacError } from '../../runtime/error.ts'
import type { CompilerCode } from '../error-codes.ts'

/** An error about `file`; `offset` is the byte at which the offending item starts. */
export function refusal(code: CompilerCode, file: string, what: string, offset?: number): LlamacError {
  return new LlamacError(code, `${file}: ${what}${offset === undefined ? '' : ` (at byte ${offset})`}`)
}
