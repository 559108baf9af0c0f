// Every code that the runtime raises, in one table: stable, documented, and the type of `LlamacError.code` for users who switch
// on it. `fail` is the only way runtime code raises an error that a user meets.
import { LlamacError } from './error.ts'

/** Code → what it means and what helps. */
export const errorCodes = {
  E_ABORTED: "The AbortSignal fired. `cause` is the signal's reason.",
  E_ARGUMENT: 'An argument is missing, unknown, of the wrong type or length.',
  E_ARTIFACT_FILE: 'A file of the artifact is missing or cannot be read: the folder is not an artifact or a download is incomplete.',
  E_ARTIFACT_FORMAT: 'The artifact was written for another version of the runtime: compile it again.',
  E_ARTIFACT_HASH: "A file's bytes are not those that the compiler wrote: fetch or compile it again.",
  E_ARTIFACT_MANIFEST: 'manifest.json (or a program or tokenizer file) does not have the right shape.',
  E_ARTIFACT_SIZE: 'A file is shorter or longer than the manifest says.',
  E_BUSY: 'The session is already running a call: wait for it, or use another session.',
  E_CONTEXT_FULL: "The tokens do not fit into the model's context: rewind, or start a new session.",
  E_CSP: "The page's Content-Security-Policy forbids WebAssembly: add 'wasm-unsafe-eval' to script-src.",
  E_DEVICE: 'The device failed while it ran an entry, or a worker of its threads could not be started.',
  E_DEVICE_LOST: 'The GPU device was lost (driver reset, tab in the background, out of memory).',
  E_DISPOSED: 'The model or the session was disposed.',
  E_ENTRY: 'The model has no such entry.',
  E_INSECURE_CONTEXT: 'crypto.subtle is missing, so weights cannot be verified: serve the page over https or from localhost.',
  E_LIMIT: 'Sizes are outside the limits that the model was compiled for.',
  E_NO_DEVICE: "None of the artifact's variants can run here. The message lists why, variant by variant.",
  E_NO_TOKENIZER: 'The artifact has no tokenizer: pass token ids.',
  E_NO_WEIGHTS: 'The artifact was compiled without weights.',
  E_NOT_FINITE: 'The model produced scores that are not numbers: weights or activations overflowed.',
  E_OUT_OF_MEMORY: 'The device has no memory for the weights or for another session.',
  E_TOKENIZER: 'The tokenizer cannot be used (unknown splitting rule, text without a token).',
  E_TOKEN_RANGE: 'A token id is not in the vocabulary.',
} as const

export type ErrorCode = keyof typeof errorCodes

/** Throws a LlamacError. */
export function fail(code: ErrorCode, message: string, cause?: unknown): never {
  throw new LlamacError(code, message, cause === undefined ? undefined : { cause })
}

/** Throws E_ABORTED if the signal has fired. */
export function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) fail('E_ABORTED', 'the call was aborted', signal.reason)
}
