// What a storage format is: how a run of values lies in bytes, row-major and without padding ("plain", exactly as GGUF lays
// it out), and how 8 rows of a matrix interleave for the kernels ("r8"). Formats know nothing of tensors or files.
//
// r8: groups of 8 rows, the last one filled up with zero bytes; inside a group blocks run over k; groups follow each other.
// A kernel that walks one group reads one sequential stream and keeps 8 (2 x 4) results in registers.

/** Formats whose blocks are quants and scales. */
export const quantisedNames = ['q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q4_k', 'q5_k', 'q6_k'] as const
export type QuantisedName = (typeof quantisedNames)[number]
export type FormatName = 'f32' | 'f16' | 'bf16' | QuantisedName
export type LayoutName = 'plain' | 'r8'

export const groupRows = 8

export interface Format {
  readonly name: FormatName
  /** Values and bytes of one plain block. */
  readonly values: number
  readonly bytes: number
  /** One r8 block: 8 rows x `k` values in `bytes` bytes. */
  readonly r8Block: { readonly k: number; readonly bytes: number }
  /**
   * Writes whole blocks; `values.length` is a multiple of `values`, `out` holds exactly their bytes. `importance`: what the squared
   * error of each column counts, for one row of the matrix; `values` are whole rows then. Formats that do not search take no notice.
   */
  encode(values: Float32Array, out: Uint8Array, importance?: Float32Array): void
  /** The inverse reading: `bytes` are whole blocks, `out` gets every value. */
  decode(bytes: Uint8Array, out: Float32Array): void
  /** `plainRows`: 8 plain rows of K values, one after the other; `out`: their r8 blocks. K is a multiple of r8Block.k. */
  packGroup(plainRows: Uint8Array, K: number, out: Uint8Array): void
  /** The inverse of packGroup. */
  unpackGroup(packed: Uint8Array, K: number, out: Uint8Array): void
}
