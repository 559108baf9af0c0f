// The table: how each op of ONNX is said with llamac's primitives.

import { type Attributes, count } from '../translate.ts'
import { attentions, cacheDims } from './attention.ts'
import { pointwise } from './pointwise.ts'
import { quantisation } from './quantisation.ts'
import type { Rows } from './row.ts'
import { selections } from './selections.ts'
import { shapes } from './shapes.ts'
import { sums } from './sums.ts'

/** Ops that write into their first input do so in a state: its dims. */
export const stateDims: Readonly<Record<string, (dims: readonly number[], attributes: Attributes) => readonly number[]>> = {
  TensorScatter: (dims, { axis = -2 }) => cacheDims(dims, Number(axis)),
  ScatterElements: (dims) => [count(dims)],
}

export const rows: Rows = { ...pointwise, ...shapes, ...sums, ...attentions, ...selections, ...quantisation }
