// The one error class that users meet. A code is stable and documented; `message` says what was expected and what to do.

export class LlamacError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'LlamacError'
    this.code = code
  }
}
