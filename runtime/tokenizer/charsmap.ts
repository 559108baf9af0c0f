// SentencePiece's precompiled_charsmap: what characters become before a text is cut (NFKC with changes of its own). A u32 length, that many
// bytes of a double-array trie over UTF-8, then replacements that end with a zero byte. A unit of the trie packs: bits 0-7 the byte
// that leads to it, bit 8 whether a key ends here, bits 10-30 (shifted by 8 where bit 9 is set) the offset of its children; units
// with bit 31 hold a value, the place of the replacement. The child for byte c lies at (place ^ offset) ^ c, the value at c = 0.
// Branches share what they have in common, so the keys are far more than the units and are never listed.
import { fail } from '../error-codes.ts'

/** Keys are short; a damaged trie may have a circle. */
const longestKey = 64

/** The longest key at each place is replaced. E_TOKENIZER for a blob (in base64) that is damaged, at once or where a text meets it. */
export function createCharsmap(base64: string): (text: string) => string {
  const damaged = (): never => fail('E_TOKENIZER', 'the normalisation (precompiled_charsmap) is damaged')
  let blob: Uint8Array<ArrayBuffer>
  try {
    blob = Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0))
  } catch {
    return damaged()
  }
  const view = new DataView(blob.buffer)
  const size = blob.length < 4 ? 0 : view.getUint32(0, true)
  if (size === 0 || size % 4 !== 0 || size > blob.length - 4) return damaged()
  const count = size / 4
  const replacements = blob.subarray(4 + size)
  const unit = (at: number): number => (at < count ? view.getUint32(4 + 4 * at, true) : damaged())
  const offset = (value: number): number => (value >>> 10) << ((value & 512) >>> 6)
  const root = offset(unit(0))
  const encoder = new TextEncoder()
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

  return (text) => {
    const bytes = encoder.encode(text)
    const parts: Uint8Array[] = []
    let from = 0
    for (let at = 0; at < bytes.length; ) {
      let children = root
      let [value, after] = [-1, at]
      for (let end = at; end < bytes.length && end - at < longestKey; ) {
        const byte = bytes[end]!
        const place = (children ^ byte) >>> 0
        if (byte === 0 || place >= count) break
        const packed = unit(place)
        if ((packed & 0x800000ff) !== byte) break
        end++
        children = (place ^ offset(packed)) >>> 0
        if ((packed >>> 8) & 1) {
          value = unit(children) & 0x7fffffff
          after = end
        }
      }
      if (value < 0) {
        at++
        while ((bytes[at]! & 0xc0) === 0x80) at++
        continue
      }
      const ends = replacements.indexOf(0, value)
      if (ends < 0) damaged()
      parts.push(bytes.subarray(from, at), replacements.subarray(value, ends))
      from = at = after
    }
    if (from === 0) return text
    parts.push(bytes.subarray(from))
    const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
    let to = 0
    for (const part of parts) {
      whole.set(part, to)
      to += part.length
    }
    return decoder.decode(whole)
  }
}
