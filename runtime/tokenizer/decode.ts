// From ids to text, id by id. Tokens are bytes, and a character may lie across several: bytes go through one streaming UTF-8
// decoder, so a piece of text never ends inside a character. Special tokens are not shown. SentencePiece puts a space before
// a text; the one after BOS, or at the very beginning, is taken away again (llama2.c's rule; where special tokens are shown, a text that
// begins with one keeps it, as Hugging Face shows it). WordPiece puts one before every word.
import type { CompactTokenizer } from './compact.ts'
import { fail } from '../error-codes.ts'
import { characterBytes } from './byte-alphabet.ts'
import { spaceMark } from './spm.ts'

export interface StreamingDecoder {
  /** The text that `id` completes: possibly empty. E_TOKEN_RANGE for an id outside the vocabulary. */
  push(id: number): string
  /** What is left at the end: U+FFFD for an unfinished character, else nothing. */
  end(): string
}

export interface DecodeOptions {
  /** Show special tokens by their names. */
  readonly special?: boolean
  /** The id before the first one pushed, when the text goes on after others: then no space is taken away (unless it is BOS). */
  readonly after?: number
}

const utf8 = new TextEncoder()

/** The bytes of every token, made when first asked for. Special tokens: their names. */
export function createTokenBytes(tokenizer: CompactTokenizer): (id: number) => Uint8Array {
  const cache = new Map<number, Uint8Array>()
  const byteOf = new Map(tokenizer.bytes.map((id, byte) => [id, byte]))
  const special = new Set(tokenizer.special)
  const added = new Set(tokenizer.added?.map(({ id }) => id))
  const { kind, tidy } = tokenizer
  function make(id: number): Uint8Array {
    const piece = tokenizer.pieces[id]
    if (piece === undefined) fail('E_TOKEN_RANGE', `token ${id} is not in the vocabulary (${tokenizer.pieces.length} tokens)`)
    const byte = byteOf.get(id)
    if (byte !== undefined) return Uint8Array.of(byte)
    if (special.has(id)) return utf8.encode(kind === 'wordpiece' ? ` ${piece}` : piece)
    if (added.has(id)) return utf8.encode(piece)
    if (kind === 'wordpiece' && tidy && /^▁[.?!,]$/.test(piece)) return utf8.encode(piece.slice(1))
    if (kind !== 'bpe') return utf8.encode(piece.replaceAll(spaceMark, ' '))
    const bytes: number[] = []
    // Tokens may hold characters outside the byte alphabet, such as a plain space: they stand for themselves.
    for (const character of piece) {
      const value = characterBytes.get(character)
      if (value === undefined) bytes.push(...utf8.encode(character))
      else bytes.push(value)
    }
    return Uint8Array.from(bytes)
  }
  return (id) => {
    let bytes = cache.get(id)
    if (!bytes) cache.set(id, (bytes = make(id)))
    return bytes
  }
}

/** `bytesOf` from createTokenBytes. */
export function createDecoder(
  tokenizer: CompactTokenizer,
  bytesOf: (id: number) => Uint8Array,
  options: DecodeOptions = {},
): StreamingDecoder {
  const special = new Set(tokenizer.special)
  const words = tokenizer.kind === 'wordpiece'
  const stripsSpace = words || (tokenizer.kind !== 'bpe' && tokenizer.addPrefixSpace)
  let atStart = stripsSpace && (options.after === undefined || options.after === tokenizer.bos)
  // Without ignoreBOM a text that begins with U+FEFF would lose it.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  /** Nothing of a character is held back: text of ASCII then needs no decoder, which would take tens of microseconds. */
  let whole = true
  return {
    push(id) {
      let bytes = bytesOf(id)
      const isSpecial = special.has(id)
      if (isSpecial && !options.special) {
        if (stripsSpace && !words && id === tokenizer.bos) atStart = true
        return ''
      }
      if (atStart && bytes[0] === 0x20) bytes = bytes.subarray(1)
      atStart = false
      const text = whole ? asciiOf(bytes) : undefined
      if (text !== undefined) return text
      whole = bytes[bytes.length - 1]! < 0x80
      return decoder.decode(bytes, { stream: true })
    },
    end: () => decoder.decode(),
  }
}

/** Undefined where other characters begin or go on. */
function asciiOf(bytes: Uint8Array): string | undefined {
  let text = ''
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte >= 0x80) return undefined
    text += String.fromCharCode(byte)
  }
  return text
}
