// The one way in which readers of strangers' files say no: a LlamacError with a stable code, the file and the byte offset.

import { LlamacError } from '../../runtime/error.ts'
import type { CompilerCode } from '../error-codes.ts'

/** Names in files may be megabytes long. */
const longest = 1_000

/** An error about `file`; `offset` is the byte at which the offending item starts. */
export function refusal(code: CompilerCode, file: string, what: string, offset?: number): LlamacError {
  const short = what.length > longest ? `${what.slice(0, longest / 2)} … ${what.slice(-longest / 2)}` : what
  return new LlamacError(code, `${file}: ${short}${offset === undefined ? '' : ` (at byte ${offset})`}`)
}
