// q5_0 and q5_1: 32 values of 5 bits. Plain: after the scales 4 bytes whose bit i is the fifth bit of value i, then 16 bytes,
// byte i = low four bits of q[i] | low four bits of q[16+i] << 4.

import { runLength } from './run-blocks.ts'

/** Reads the quants that begin (with their fifth bits) at `at`. */
export function readFives(plain: Uint8Array, at: number, quants: Uint8Array): void {
  for (let i = 0; i < runLength; i++) {
    const low = (plain[at + 4 + (i & 15)]! >> (i & 16 ? 4 : 0)) & 15
    quants[i] = low | (((plain[at + (i >> 3)]! >> (i & 7)) & 1) << 4)
  }
}

export function writeFives(quants: Uint8Array, out: Uint8Array, at: number): void {
  for (let i = 0; i < 16; i++) out[at + 4 + i] = (quants[i]! & 15) | (quants[16 + i]! << 4)
  for (let byte = 0; byte < 4; byte++) {
    let bits = 0
    for (let i = 0; i < 8; i++) bits |= (quants[8 * byte + i]! >> 4) << i
    out[at + byte] = bits
  }
}
