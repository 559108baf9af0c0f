// The lists that all targets share: every stored tensor (weights by concrete path, compile-time tables by hash) and every state,
// in artifact order, with the way from a source in a kernel to its row.

import type { StateInfo, WeightInfo } from '../../dsl/sink.ts'
import type { StateManifest } from '../../runtime/artifact/manifest.ts'
import { patternOf } from '../graph/paths.ts'
import type { Constant } from '../graph/types.ts'
import { permuted, type StateOrders } from '../kernel/states.ts'
import { blockWords } from '../schedule/state-blocks.ts'
import { canonicalPaths, type WeightPlan } from './weights.ts'

export interface TensorEntry {
  readonly path: string
  readonly dims: readonly number[]
  readonly format: string
  readonly layout: string
  readonly bytes: number
  /** Rows that the first dim counts: a row segment of the tensor is cut between these. */
  readonly rows: number
}

export interface Layout {
  readonly tensors: readonly TensorEntry[]
  /** Index in `tensors` of a weight's path (ties resolved) or `table:<id>`. */
  tensor(path: string): number
  readonly states: readonly StateManifest[]
  state(path: string): number
  readonly stateBytes: number
}

const stateAlignment = 256

/** A state, and how it is stored where its type does not say. */
export type StoredState = StateInfo & Pick<StateManifest, 'format'>

/** Halves lie side by side, blocks are planes of bytes and of halves; everything else has a word of its own. Whole words. */
function stateBytes({ dtype, dims, format }: StoredState): number {
  const count = dims.reduce((product, dim) => product * dim, 1)
  if (format === 'q8_0') return 4 * blockWords(count)
  return Math.ceil((count * (dtype === 'f16' ? 2 : 4)) / 4) * 4
}

export function planLayout(
  weights: readonly WeightInfo[],
  plans: ReadonlyMap<string, WeightPlan>,
  constants: Iterable<Constant>,
  states: readonly StoredState[],
  orders: StateOrders = new Map(),
): Layout {
  const canonical = canonicalPaths(weights)
  const tensors: TensorEntry[] = []
  const numbers = new Map<string, number>()
  const add = (entry: TensorEntry): void => {
    numbers.set(entry.path, tensors.length)
    tensors.push(entry)
  }
  for (const weight of weights) {
    if (weight.tied !== undefined) continue
    const { format, layout, bytes, rows } = plans.get(weight.path)!
    add({ path: weight.path, dims: weight.dims, format, layout, bytes, rows })
  }
  for (const { id, dtype, dims } of constants) {
    if (numbers.has(`table:${id}`)) continue
    const elements = dims.reduce((product, dim) => product * dim, 1)
    const format = dtype === 'f32' || dtype === 'f16' || dtype === 'bf16' ? 'f32' : 'i32'
    add({ path: `table:${id}`, dims, format, layout: 'plain', bytes: elements * 4, rows: 1 })
  }
  const stateList: StateManifest[] = []
  const stateNumbers = new Map<string, number>()
  let offset = 0
  for (const state of states) {
    const { path, dtype, dims, format } = state
    const bytes = stateBytes(state)
    stateNumbers.set(path, stateList.length)
    const order = orders.get(patternOf(path))
    stateList.push({
      path,
      dtype,
      ...(format ? { format } : {}),
      dims: order ? permuted(dims, order) : dims,
      ...(order ? { order } : {}),
      offset,
      bytes,
    })
    offset += Math.ceil(bytes / stateAlignment) * stateAlignment
  }
  const find = (map: ReadonlyMap<string, number>, path: string): number => {
    const number = map.get(path)
    if (number === undefined) throw new Error(`internal: nothing is stored for ${path}`)
    return number
  }
  return {
    tensors,
    tensor: (path) => find(numbers, canonical(path)),
    states: stateList,
    state: (path) => find(stateNumbers, path),
    stateBytes: offset,
  }
}
