// The buffers of a WebGPU program: how each kind is bound and used, how large it is, and what is in a buffer of places.
import { placesStride, type WebgpuProgram } from '../artifact/manifest.ts'

type BufferPlan = WebgpuProgram['buffers'][number]

// Numbers of WebGPU's flag namespaces, which only exist as globals in browsers.
export const usage = { mapRead: 1, copySrc: 4, copyDst: 8, uniform: 64, storage: 128 } as const

/** Weights are read only; the rest of the storage is bound read_write (a buffer may not be bound both ways in one dispatch). */
export const bufferTypes = {
  tensor: 'read-only-storage',
  uniform: 'uniform',
  places: 'uniform',
  state: 'storage',
  seen: 'storage',
  arena: 'storage',
} as const

/** Kinds of buffers that each session has for itself. */
export const isOfSession = (kind: BufferPlan['kind']): boolean => kind === 'state' || kind === 'seen'

export const roundUp = (bytes: number, to: number): number => Math.ceil(bytes / to) * to
export const bufferBytes = ({ bytes }: { readonly bytes: number }): number => Math.max(16, roundUp(bytes, 16))

/** The contents of a buffer of places. */
export function placeWords({ bytes, rows }: Extract<BufferPlan, { kind: 'places' }>): Int32Array<ArrayBuffer> {
  const words = new Int32Array(bytes / 4)
  for (const [i, row] of rows.entries()) words.set(row, (i * placesStride) / 4)
  return words
}
