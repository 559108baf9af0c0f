// A graph's values together with how far an implementation in f32 may be from them, element by element: running error analysis.
// Values are the graph's in f64, `quantise` rounds. Views move errors as they move values; sums of n terms in any order err by
// n·u·Σ|x|; sums whose terms are small multiples of one power of two are exact in any order. With u of f64 the same rules bound
// the levels that compute in f64. A mistake in a kernel that moves a value by more is a mismatch.

import type { Binding } from '../../dsl/affine.ts'
import { reachable, rootsOf } from '../../compiler/graph/nodes.ts'
import { fillPath, type Frame } from '../../compiler/graph/paths.ts'
import { is, type Dtype, type Graph, type Node, type Region } from '../../compiler/graph/types.ts'
import { isVersion, stateOf } from '../../compiler/passes/fusion-nodes.ts'
import { opDef } from '../../compiler/ops/index.ts'
import { type EvaluateContext, isFloat } from '../../compiler/ops/op.ts'
import { blockSize, largestScale, quantise } from '../../compiler/ops/quantise.ts'
import { sizes } from '../../compiler/ops/shape.ts'
import { elements, permute, type Tensor, toF16 } from '../../compiler/ops/tensor.ts'
import { binaryError, castError, isUnknown, unaryError, unknown } from './scalar-errors.ts'

export interface Bounded {
  readonly tensor: Tensor
  readonly error: Float64Array
}

export interface BoundedOptions {
  readonly weight: (path: string) => { readonly data: Float64Array; readonly error: Float64Array }
  /** Rounding of one operation. */
  readonly unit: number
  /** Whether `quantise` rounds; else it is the identity, as in exact mode. */
  readonly rounds: boolean
}

export type BoundedStates = ReadonlyMap<string, { readonly data: Float64Array; readonly error: Float64Array }>

type Owner = Pick<Region, 'results' | 'states'>

/** A constant, of which f32 levels hold the nearest f32. */
const stored = (tensor: Tensor, unit: number): Bounded =>
  each(tensor, (i) => (isFloat(tensor.dtype) && Math.fround(tensor.data[i]!) !== tensor.data[i] ? unit * Math.abs(tensor.data[i]!) : 0))

/** f16 and bf16 are computed in f32 by some levels and rounded by others. */
const narrow: Readonly<Partial<Record<Dtype, number>>> = { f16: 2 ** -10, bf16: 2 ** -7 }

/** All values are multiples of 1/grain. */
function grainOf(data: Float64Array): number {
  for (const grain of [1, 4, 16, 256]) if (data.every((x) => Number.isInteger(x * grain))) return grain
  return Number.POSITIVE_INFINITY
}

export class BoundedRun {
  readonly written = new Map<string, { data: Float64Array; error: Float64Array }>()
  readonly #graph: Graph
  readonly #options: BoundedOptions
  readonly #binding: Binding
  readonly #inputs: Readonly<Record<string, Float64Array>>
  readonly #states: BoundedStates

  constructor(
    graph: Graph,
    options: BoundedOptions,
    binding: Binding,
    inputs: Readonly<Record<string, Float64Array>>,
    states: BoundedStates,
  ) {
    this.#graph = graph
    this.#options = options
    this.#binding = binding
    this.#inputs = inputs
    this.#states = states
  }

  run(): readonly Bounded[] {
    return this.#owner(this.#graph, [], [])
  }

  #owner(owner: Owner, params: readonly Bounded[], frames: readonly Frame[]): readonly Bounded[] {
    const values = new Map<Node, readonly Bounded[]>()
    for (const node of reachable(rootsOf(owner))) values.set(node, this.#node(node, values, params, frames))
    for (const [path, node] of owner.states) {
      const { tensor, error } = values.get(node)![0]!
      if (node.op !== 'loop') this.written.set(fillPath(path, frames), { data: tensor.data, error })
    }
    return owner.results.map((node) => values.get(node)![0]!)
  }

  #node(
    node: Node,
    values: ReadonlyMap<Node, readonly Bounded[]>,
    params: readonly Bounded[],
    frames: readonly Frame[],
  ): readonly Bounded[] {
    if (is(node, 'param')) return [params[node.attributes.index]!]
    if (is(node, 'result')) return [values.get(node.operands[0]!)![node.attributes.index]!]
    const operands = node.operands.map((operand) => values.get(operand)![0]!)
    if (is(node, 'composite')) return this.#owner(node.attributes.region, operands, frames)
    if (is(node, 'loop')) {
      const { array, groups, order, carried } = node.attributes
      let now: readonly Bounded[] = operands.slice(0, carried)
      const kept: Bounded[] = []
      order.forEach((group, index) => {
        const results = this.#owner(
          groups[group]!,
          [...now, ...operands.slice(carried)],
          [...frames, { array: fillPath(array, frames), index }],
        )
        now = results.slice(0, carried)
        kept.push(...results.slice(carried))
      })
      return [...now, ...kept]
    }
    if (is(node, 'state')) return [this.#state(fillPath(node.attributes.path, frames), node)]
    if (is(node, 'weight')) {
      const { data, error } = this.#options.weight(fillPath(node.attributes.path, frames))
      return [{ tensor: { dtype: node.type.dtype, dims: sizes(node.type.dims, this.#binding), data }, error }]
    }
    const context = this.#context(node)
    const evaluate = (given: readonly Tensor[]): Tensor => opDef(node.op).evaluate(given, node.attributes, context) as Tensor
    if (operands.length === 0) return [stored(evaluate([]), this.#options.unit)]
    const rule = rules[node.op]
    const { unit } = this.#options
    const made = rule ? rule(node, operands, evaluate, this.#options) : moved(operands, evaluate)
    const lost = unit > 2 ** -40 ? narrow[node.type.dtype] : undefined
    if (lost !== undefined) for (const [i, x] of made.tensor.data.entries()) made.error[i]! += lost * Math.abs(x) + 2 ** -24
    return [made]
  }

  #context(node: Node): EvaluateContext {
    const missing = (): never => {
      throw new Error('internal: bounded evaluation: not asked of an op')
    }
    return {
      mode: 'exact',
      binding: this.#binding,
      type: node.type,
      weight: missing,
      state: missing,
      param: missing,
      results: missing,
      region: missing,
      constant: (id) => this.#graph.constants.get(id)!,
      argument: (name) => ({ dtype: node.type.dtype, dims: sizes(node.type.dims, this.#binding), data: this.#inputs[name]! }),
    }
  }

  #state(path: string, node: Node): Bounded {
    const dims = sizes(node.type.dims, this.#binding)
    const known = this.written.get(path) ?? this.#states.get(path)
    const data = known?.data ?? new Float64Array(elements(dims))
    return { tensor: { dtype: node.type.dtype, dims, data }, error: known?.error ?? new Float64Array(data.length) }
  }
}

type Evaluate = (operands: readonly Tensor[]) => Tensor
type Rule = (node: Node, operands: readonly Bounded[], evaluate: Evaluate, options: BoundedOptions) => Bounded

const tensors = (operands: readonly Bounded[]): Tensor[] => operands.map(({ tensor }) => tensor)
const errorsOf = ({ tensor, error }: Bounded): Tensor => ({ ...tensor, dtype: 'f32', data: error })

/** Ops that copy elements: errors go where values go. */
const moved = (operands: readonly Bounded[], evaluate: Evaluate): Bounded => ({
  tensor: evaluate(tensors(operands)),
  error: evaluate(operands.map(errorsOf)).data,
})

const each = (tensor: Tensor, error: (i: number) => number): Bounded => ({
  tensor,
  error: Float64Array.from(tensor.data, (_, i) => error(i)),
})

/** Every row of x along `axis`, as lists of places. */
function rowsAlong(x: Tensor, axes: readonly number[]): number[][] {
  const kept = [...x.dims.keys()].filter((axis) => !axes.includes(axis))
  const places = permute({ dtype: 'i32', dims: x.dims, data: Float64Array.from(x.data, (_, i) => i) }, [...kept, ...axes]).data
  const run = elements(axes.map((axis) => x.dims[axis]!))
  const count = elements(kept.map((axis) => x.dims[axis]!))
  return Array.from({ length: count }, (_, row) => Array.from(places.subarray(row * run, (row + 1) * run)))
}

const certainIndices = (index: Bounded): boolean => index.error.every((error) => error === 0)

const rules: Readonly<Partial<Record<Node['op'], Rule>>> = {
  unary(node, [x], evaluate, { unit }) {
    const tensor = evaluate([x!.tensor])
    const { fn } = (node as Node<'unary'>).attributes
    if (!isFloat(node.type.dtype)) return { tensor, error: x!.error }
    return each(tensor, (i) => unaryError(fn, x!.tensor.data[i]!, x!.error[i]!, tensor.data[i]!, unit))
  },
  binary(node, [a, b], evaluate, { unit }) {
    const tensor = evaluate([a!.tensor, b!.tensor])
    const { fn } = (node as Node<'binary'>).attributes
    const floats = isFloat(a!.tensor.dtype) || a!.tensor.dtype === 'bool' || node.type.dtype === 'bool'
    if (!floats) return each(tensor, (i) => (a!.error[i] === 0 && b!.error[i] === 0 ? 0 : unknown))
    return each(tensor, (i) => binaryError(fn, a!.tensor.data[i]!, a!.error[i]!, b!.tensor.data[i]!, b!.error[i]!, tensor.data[i]!, unit))
  },
  where(_node, [condition, yes, no], evaluate) {
    const tensor = evaluate([condition!.tensor, yes!.tensor, no!.tensor])
    return each(tensor, (i) => {
      if (condition!.error[i] === 0) return condition!.tensor.data[i] !== 0 ? yes!.error[i]! : no!.error[i]!
      return Math.abs(yes!.tensor.data[i]! - no!.tensor.data[i]!) + Math.max(yes!.error[i]!, no!.error[i]!)
    })
  },
  cast(node, [x], evaluate, { unit }) {
    const tensor = evaluate([x!.tensor])
    const from = isFloat(x!.tensor.dtype)
    if (isFloat(node.type.dtype))
      return from
        ? { tensor, error: x!.error.slice() }
        : each(tensor, (i) => x!.error[i]! + (Math.abs(tensor.data[i]!) > 2 ** 24 ? unit * Math.abs(tensor.data[i]!) : 0))
    if (!from) return { tensor, error: x!.error }
    return each(tensor, (i) => castError(x!.tensor.data[i]!, x!.error[i]!, node.type.dtype === 'bool' ? 'bool' : 'integer'))
  },
  reduce(node, [x], evaluate, { unit }) {
    const { fn, axes } = (node as Node<'reduce'>).attributes
    const tensor = evaluate([x!.tensor])
    const rows = rowsAlong(x!.tensor, axes)
    const { data } = x!.tensor
    const grain = fn === 'sum' ? grainOf(data) : 1
    return each(tensor, (i) => {
      const row = rows[i]!
      if (fn !== 'sum')
        return extremeError(
          row.map((at) => (fn === 'max' ? data[at]! : -data[at]!)),
          row.map((at) => x!.error[at]!),
        )
      const given = row.reduce((sum, at) => sum + x!.error[at]!, 0)
      const size = row.reduce((sum, at) => sum + Math.abs(data[at]!), 0)
      if (!isFloat(node.type.dtype)) return given === 0 ? 0 : unknown
      return given === 0 && size * grain < 2 ** 24 ? 0 : Math.min(unknown, given + row.length * unit * (size + given))
    })
  },
  dot(node, [a, b], evaluate, { unit }) {
    const tensor = evaluate([a!.tensor, b!.tensor])
    const { contract } = (node as Node<'dot'>).attributes
    const length = elements(contract.map(([axis]) => a!.tensor.dims[axis]!))
    const sizesOf = ({ tensor: x }: Bounded): Tensor => ({ ...x, dtype: 'f32', data: x.data.map(Math.abs) })
    const wide = (operands: readonly Tensor[]): Float64Array => evaluate(operands).data
    const magnitude = wide([sizesOf(a!), sizesOf(b!)])
    if (!isFloat(node.type.dtype)) return each(tensor, () => (certainIndices(a!) && certainIndices(b!) ? 0 : unknown))
    const fromA = wide([errorsOf(a!), sizesOf(b!)])
    const fromB = wide([sizesOf(a!), errorsOf(b!)])
    const fromBoth = wide([errorsOf(a!), errorsOf(b!)])
    const grain = grainOf(a!.tensor.data) * grainOf(b!.tensor.data)
    // What meets a cache of bytes may be rounded to 16 bits of its largest number.
    const bytes = unit > 2 ** -40 && node.operands.some(isInBytes)
    const rounded = bytes ? length * 2 ** -16 * largestOf(a!) * largestOf(b!) : 0
    return each(tensor, (i) => {
      const given = fromA[i]! + fromB[i]! + fromBoth[i]! + rounded
      if (given === 0 && magnitude[i]! * grain < 2 ** 24) return 0
      return Math.min(unknown, given + (length + 2) * unit * (magnitude[i]! + given) + length * 2 ** -126)
    })
  },
  pad(node, [x], evaluate, { unit }) {
    const tensor = evaluate([x!.tensor])
    const { value } = (node as Node<'pad'>).attributes
    const padding = isFloat(node.type.dtype) && Math.fround(value) !== value ? unit * Math.abs(value) : 0
    const marked = evaluate([{ ...x!.tensor, data: x!.tensor.data.map((_, i) => i + 10) }]).data
    return each(tensor, (i) => (marked[i]! >= 10 ? x!.error[marked[i]! - 10]! : padding))
  },
  gather(_node, [x, index], evaluate) {
    const tensor = evaluate([x!.tensor, index!.tensor])
    if (!certainIndices(index!)) return each(tensor, () => unknown)
    return { tensor, error: evaluate([errorsOf(x!), index!.tensor]).data }
  },
  scatter(_node, [state, index, value], evaluate) {
    const tensor = evaluate([state!.tensor, index!.tensor, value!.tensor])
    if (!certainIndices(index!)) return each(tensor, () => unknown)
    return { tensor, error: evaluate([errorsOf(state!), index!.tensor, errorsOf(value!)]).data }
  },
  topk(node, [x], evaluate) {
    const { axis, k, part } = (node as Node<'topk'>).attributes
    const tensor = evaluate([x!.tensor])
    const error = new Float64Array(tensor.data.length)
    const { data } = x!.tensor
    const rows = rowsAlong(x!.tensor, [axis])
    const targets = rowsAlong(tensor, [axis])
    rows.forEach((row, r) => {
      const order = [...row].sort((p, q) => data[q]! - data[p]! || p - q)
      const most = Math.max(0, ...row.map((at) => x!.error[at]!))
      const apart = (p: number | undefined, q: number | undefined): boolean =>
        p === undefined ||
        q === undefined ||
        Math.abs(data[p]! - data[q]!) > x!.error[p]! + x!.error[q]! ||
        (x!.error[p] === 0 && x!.error[q] === 0)
      const blurred = row.some((at) => isUnknown(x!.error[at]!))
      for (let j = 0; j < k; j++) {
        const certain = !blurred && apart(order[j], order[j - 1]) && apart(order[j], order[j + 1])
        error[targets[r]![j]!] = part === 'values' ? (certain ? x!.error[order[j]!]! : most) : certain ? 0 : unknown
      }
    })
    return { tensor, error }
  },
  quantise(node, [x], evaluate, { unit, rounds }) {
    const { attributes } = node as Node<'quantise'>
    if (!rounds) return { tensor: evaluate([x!.tensor]), error: x!.error }
    const tensor = quantise.evaluate([x!.tensor], attributes, { mode: 'typed' } as EvaluateContext) as Tensor
    const error = new Float64Array(tensor.data.length)
    const row = x!.tensor.dims.at(-1)!
    for (let base = 0; base < error.length; base += row) {
      for (let from = base; from < base + row; from += blockSize)
        quantiseBlock(x!, tensor, error, from, Math.min(from + blockSize, base + row), unit, attributes.scale === 'f16')
    }
    return { tensor, error }
  },
}

const largestOf = ({ tensor, error }: Bounded): number =>
  tensor.data.reduce((most, x, i) => (isUnknown(error[i]!) ? most : Math.max(most, Math.abs(x) + error[i]!)), 0)

const views: ReadonlySet<Node['op']> = new Set(['slice', 'pick', 'split', 'merge', 'transpose', 'broadcast', 'gather', 'cast'])

/** Whether values are those of a state that is stored in blocks of 8 bits. */
function isInBytes(node: Node): boolean {
  if (isVersion(node)) return stateOf(node).attributes.stored === 'q8_0'
  return views.has(node.op) && isInBytes(node.operands[0]!)
}

/** The largest error of the values that may be the largest. */
function extremeError(values: readonly number[], errors: readonly number[]): number {
  const least = values.reduce((most, value, i) => Math.max(most, value - errors[i]!), Number.NEGATIVE_INFINITY)
  return values.reduce((most, value, i) => (value + errors[i]! >= least ? Math.max(most, errors[i]!) : most), 0)
}

/**
 * q = round(x / d), d = max|x| / 127: where x / d is near a half, q may be its neighbour; where the result is q times d as a half, so may
 * that half.
 */
function quantiseBlock(
  { tensor: { data }, error: given }: Bounded,
  tensor: Tensor,
  error: Float64Array,
  from: number,
  end: number,
  unit: number,
  isHalf: boolean,
): void {
  let [most, wrong] = [0, 0]
  for (let i = from; i < end; i++) {
    most = Math.max(most, Math.abs(data[i]!))
    wrong = Math.max(wrong, given[i]!)
  }
  const scale = Math.fround(most / 127)
  const scaleError = wrong / 127 + 3 * unit * scale
  const half = (d: number): number => toF16(Math.min(Math.max(d, 0), largestScale))
  const stored = isHalf ? half(scale) : scale
  const resultError = isHalf ? half(scale + scaleError) - half(scale - scaleError) : scaleError
  for (let i = from; i < end; i++) {
    if (isUnknown(wrong) || scale === 0) {
      error[i] = isUnknown(wrong) ? unknown : 2 * wrong
      continue
    }
    const place = data[i]! / scale
    const off = (given[i]! + Math.abs(place) * scaleError) / scale + 2 * unit * Math.abs(place)
    const toHalf = Math.abs(place - Math.floor(place) - 0.5)
    const steps = off < toHalf ? 0 : Math.ceil(off - toHalf + 1e-9)
    error[i] = Math.abs(place) * resultError + steps * (stored + resultError) + 2 * unit * Math.abs(tensor.data[i]!)
  }
}
