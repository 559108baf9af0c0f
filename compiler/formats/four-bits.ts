// The quants of q4_0 and q4_1: 16 bytes, byte i = q[i] | q[16+i] << 4.

export function readFours(plain: Uint8Array, at: number, quants: Uint8Array): void {
  for (let i = 0; i < 16; i++) {
    const pair = plain[at + i]!
    quants[i] = pair & 15
    quants[16 + i] = pair >> 4
  }
}

export function writeFours(quants: Uint8Array, out: Uint8Array, at: number): void {
  for (let i = 0; i < 16; i++) out[at + i] = quants[i]! | (quants[16 + i]! << 4)
}
