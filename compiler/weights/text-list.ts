// Many short texts from UTF-8: vocabularies have a hundred thousand, and a call of the decoder for each costs more than all else that
// is done with them. Bytes are gathered, decoded at once and cut again. What is not plain UTF-8 of up to three bytes a character
// is decoded by itself, so that a damaged text spoils no other.

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

export class TextList {
  readonly #bytes = new Uint8Array(2 ** 14)
  #filled = 0
  #units = 0
  /** Ends of the gathered texts, in UTF-16 units. */
  readonly #ends: number[] = []
  readonly #texts: string[] = []

  /** The text of bytes [from, from + length); what is damaged becomes U+FFFD. */
  add(bytes: Uint8Array, from: number, length: number): void {
    if (this.#filled + length > this.#bytes.length) this.#decode()
    const units = length > this.#bytes.length ? -1 : copyText(bytes, from, length, this.#bytes, this.#filled)
    if (units < 0) {
      this.#decode()
      this.#texts.push(decoder.decode(bytes.subarray(from, from + length)))
      return
    }
    this.#filled += length
    this.#units += units
    this.#ends.push(this.#units)
  }

  /** All texts, in order. */
  end(): string[] {
    this.#decode()
    return this.#texts
  }

  #decode(): void {
    const all = decoder.decode(this.#bytes.subarray(0, this.#filled))
    let from = 0
    for (const end of this.#ends) {
      this.#texts.push(all.slice(from, end))
      from = end
    }
    this.#ends.length = 0
    this.#filled = 0
    this.#units = 0
  }
}

/** Copies a text and gives its length in UTF-16 units; -1 for what is no UTF-8, and for characters of four bytes. */
function copyText(bytes: Uint8Array, from: number, length: number, into: Uint8Array, at: number): number {
  let units = 0
  /** Bytes that the character still lacks, and the bounds of the next one. */
  let lacks = 0
  let [least, most] = [0x80, 0xbf]
  for (let i = 0; i < length; i++) {
    const byte = bytes[from + i]!
    into[at + i] = byte
    if (lacks > 0) {
      if (byte < least || byte > most) return -1
      least = 0x80
      most = 0xbf
      lacks--
      continue
    }
    units++
    if (byte < 0x80) continue
    if (byte < 0xc2 || byte > 0xef) return -1
    lacks = byte < 0xe0 ? 1 : 2
    // Neither longer than need be, nor half of a pair.
    if (byte === 0xe0) least = 0xa0
    if (byte === 0xed) most = 0x9f
  }
  return lacks > 0 ? -1 : units
}
