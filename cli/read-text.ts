// Texts that people give by path: for perplexity, for training a tokenizer.

import { readFileSync } from 'node:fs'
import { LlamacError } from '../runtime/error.ts'

/** The file's text as it is, with its byte order mark if it has one. E_TEXT_FILE when it cannot be read or is not UTF-8. */
export function readText(path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(path))
  } catch (cause) {
    const why = cause instanceof TypeError ? 'it is not UTF-8 text' : (cause as Error).message
    throw new LlamacError('E_TEXT_FILE', `cannot read ${path}: ${why}`, { cause })
  }
}
