// The table of storage formats by name, and the sizes of a matrix in each of its layouts.

import { bf16 } from './bf16.ts'
import { f16 } from './f16.ts'
import { f32 } from './f32.ts'
import { q4_0 } from './q4-0.ts'
import { q4_1 } from './q4-1.ts'
import { q4_k } from './q4-k.ts'
import { q5_0 } from './q5-0.ts'
import { q5_1 } from './q5-1.ts'
import { q5_k } from './q5-k.ts'
import { q6_k } from './q6-k.ts'
import { q8_0 } from './q8-0.ts'
import { groupRows, type Format, type FormatName, type LayoutName } from './types.ts'

export { groupRows, type Format, type FormatName, type LayoutName, type QuantisedName } from './types.ts'

export const formats: Readonly<Record<FormatName, Format>> = { f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k }

export const formatNames = Object.keys(formats) as readonly FormatName[]

/** Narrows a name from a file or a flag. */
export const isFormatName = (name: string): name is FormatName => Object.hasOwn(formats, name)

/** True when a matrix with rows of K values can be stored so: K is whole blocks. */
export function fits(format: FormatName, layout: LayoutName, K: number): boolean {
  const { values, r8Block } = formats[format]
  return K % (layout === 'r8' ? r8Block.k : values) === 0
}

/** Bytes of a matrix [rows, K] in a format and layout; r8 counts the padding up to a multiple of 8 rows. K must fit (`fits`). */
export function layoutBytes(format: FormatName, layout: LayoutName, rows: number, K: number): number {
  const { values, bytes, r8Block } = formats[format]
  const size = layout === 'r8' ? Math.ceil(rows / groupRows) * (K / r8Block.k) * r8Block.bytes : (rows * K * bytes) / values
  if (!Number.isSafeInteger(size)) throw new Error(`internal: ${format}/${layout} cannot hold [${rows}, ${K}]`)
  return size
}
