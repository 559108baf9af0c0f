// Byte views of packed words. Files give byte ranges at any offset, so views onto wider elements copy when they must.
// Everything is little-endian, as are all hosts that run WASM.

/** `bytes` as 32-bit words; shares memory when the offset allows, else a copy (for reading only). */
export function readWords(bytes: Uint8Array): Uint32Array {
  const count = bytes.byteLength >>> 2
  if (bytes.byteOffset % 4 === 0) return new Uint32Array(bytes.buffer, bytes.byteOffset, count)
  return new Uint32Array(bytes.slice(0, count * 4).buffer)
}

/** `bytes` as 16-bit words; shares memory when the offset allows, else a copy (for reading only). */
export function readHalves(bytes: Uint8Array): Uint16Array {
  const count = bytes.byteLength >>> 1
  if (bytes.byteOffset % 2 === 0) return new Uint16Array(bytes.buffer, bytes.byteOffset, count)
  return new Uint16Array(bytes.slice(0, count * 2).buffer)
}

/** Runs `fill` on words that end up in `out`, whatever out's alignment. */
export function writeWords(out: Uint8Array, fill: (words: Uint32Array) => void): void {
  if (out.byteOffset % 4 === 0) return fill(new Uint32Array(out.buffer, out.byteOffset, out.byteLength >>> 2))
  const words = new Uint32Array(out.byteLength >>> 2)
  fill(words)
  out.set(new Uint8Array(words.buffer))
}

/** Runs `fill` on 16-bit words that end up in `out`, whatever out's alignment. */
export function writeHalves(out: Uint8Array, fill: (halves: Uint16Array) => void): void {
  if (out.byteOffset % 2 === 0) return fill(new Uint16Array(out.buffer, out.byteOffset, out.byteLength >>> 1))
  const halves = new Uint16Array(out.byteLength >>> 1)
  fill(halves)
  out.set(new Uint8Array(halves.buffer))
}

/** A float array's bits. */
export const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length)
