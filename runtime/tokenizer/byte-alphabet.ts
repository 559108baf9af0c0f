// GPT-2's byte alphabet: every byte is one printable character, so that a vocabulary of byte strings is a JSON of strings.
// Printable Latin-1 stands for itself; the other 68 bytes are U+0100 and on, in order.

const printable = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae

/** Byte → character. */
export const byteCharacters: readonly string[] = (() => {
  let next = 0x100
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++))
})()

/** Character → byte. */
export const characterBytes: ReadonlyMap<string, number> = new Map(byteCharacters.map((character, byte) => [character, byte]))
