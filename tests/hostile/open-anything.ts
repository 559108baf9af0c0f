// Opens a file as `inspect`, `compile` and `run` would, as far as it goes: a checkpoint with every tensor's bytes, its tokenizer in use; or a
// tokenizer file. Tells a valid file from a typed refusal, and both from a fault of ours.

import type { Files } from '../../compiler/weights/byte-source.ts'
import { openCheckpoint } from '../../compiler/weights/checkpoint.ts'
import { openTokenizer } from '../../compiler/weights/tokenizers/open-tokenizer.ts'
import { LlamacError } from '../../runtime/error.ts'
import type { CompactTokenizer } from '../../runtime/tokenizer/compact.ts'
import { createTokenizer } from '../../runtime/tokenizer/index.ts'

export type Outcome =
  | { readonly kind: 'valid' }
  /** `placed`: the message says where, or the code says that the whole file is meant. */
  | { readonly kind: 'refused'; readonly code: string; readonly message: string; readonly placed: boolean }
  | { readonly kind: 'fault'; readonly message: string }

/** Refusals of what a file means rather than of its bytes. */
const unplaced = /^E_(TOKENIZER(_|$)|CHECKPOINT_(UNKNOWN|PICKLE|CONFIG)|SAFETENSORS_INDEX)/

function use(compact: CompactTokenizer): void {
  const tokenizer = createTokenizer(compact)
  tokenizer.decode(tokenizer.encode('ab cd é\u0000'))
}

export function openAnything(path: string, files: Files): Outcome {
  try {
    if (/^tokenizer/.test(path)) use(openTokenizer(path, files))
    else {
      const { tensors, tokenizer } = openCheckpoint(path, files)
      for (const tensor of tensors.values()) tensor.bytes()
      if (tokenizer) use(tokenizer)
    }
    return { kind: 'valid' }
  } catch (error) {
    if (!(error instanceof LlamacError))
      return { kind: 'fault', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    const { code, message } = error
    return {
      kind: 'refused',
      code,
      message: `${code} ${message}`,
      placed: unplaced.test(code) || /\(at (byte|character) \d+\)/.test(message),
    }
  }
}
