// The one error class that users meet. A code is stable and documented; `message` says what was expected and what to do.
import type { ErrorCode as RuntimeCode } from './error-codes.ts'

/** Codes by layer. Layers above the runtime add theirs by declaration merging, so that `code` is the union of what can occur. */
export interface ErrorCodeTables {
  runtime: RuntimeCode
}

export type AnyErrorCode = ErrorCodeTables[keyof ErrorCodeTables]

export class LlamacError extends Error {
  readonly code: AnyErrorCode

  constructor(code: AnyErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'LlamacError'
    this.code = code
  }
}
