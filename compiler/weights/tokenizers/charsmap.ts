// SentencePiece's precompiled_charsmap as a step of the compact form; runtime/tokenizer/charsmap.ts says what is in it and runs it.

import type { NormaliseStep } from '../../../runtime/tokenizer/compact.ts'

/** No step for an empty one. `refuse` makes the error for one that is damaged. */
export function charsmapSteps(bytes: Uint8Array, refuse: (what: string) => Error): readonly NormaliseStep[] {
  if (bytes.length === 0) return []
  const size = bytes.length < 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
  if (size === 0 || size % 4 !== 0 || size > bytes.length - 4) throw refuse('its precompiled_charsmap is damaged')
  return [{ charsmap: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')) }]
}
