// Evaluates kernels and whole programs of them on logical values in f64: for tests, to find the level at which a number goes
// wrong. Expressions become closures; definitions are computed on demand and remembered per point of their free axes. Packed
// formats play no part here: a weight is its values, activations in blocks are the rounded ones. Loads are clamped to the operand.

import { evaluate as evaluateAffine, type Binding } from '../../dsl/affine.ts'
import type { ReduceOp } from '../../dsl/sink.ts'
import type { Dtype } from '../graph/types.ts'
import { isFloat, type Mode } from '../ops/op.ts'
import { quantise } from '../ops/quantise.ts'
import { elements, rounding, strides } from '../ops/tensor.ts'
import { isByteFormat } from '../schedule/activation-blocks.ts'
import { evaluateIndex } from './index-walk.ts'
import type { Frame } from '../graph/paths.ts'
import { fillSource, launchesOf } from './launches.ts'
import type { KernelProgram } from './program.ts'
import { applyScalar } from './scalar.ts'
import type { AxisId, Definition, Expr, Index, Kernel, Operand, OperandSource } from './types.ts'

type Thunk = () => number

const startOf = (how: ReduceOp, dtype: Dtype): number => {
  const [least, most] = isFloat(dtype) ? [-3.4028234663852886e38, 3.4028234663852886e38] : [-2147483648, 2147483647]
  return how === 'sum' ? 0 : how === 'max' ? least : most
}
const combine = { sum: (a: number, b: number) => a + b, max: Math.max, min: Math.min }
/** Definitions with more points than this are computed anew at each use. */
const memoLimit = 1 << 22

class KernelRun {
  readonly #kernel: Kernel
  readonly #binding: Binding
  readonly #mode: Mode
  readonly #data: readonly Float64Array[]
  readonly #dims: readonly (readonly number[])[]
  readonly #extent: ReadonlyMap<AxisId, number>
  readonly #at = new Map<AxisId, number>()
  readonly #definitions: readonly Thunk[]
  readonly #thunks = new Map<Expr, Thunk>()

  constructor(kernel: Kernel, data: readonly Float64Array[], binding: Binding, mode: Mode) {
    this.#kernel = kernel
    this.#binding = binding
    this.#mode = mode
    this.#data = data
    this.#dims = kernel.operands.map((operand) => operand.dims.map((dim) => evaluateAffine(dim, binding)))
    this.#extent = new Map(kernel.axes.map((axis) => [axis.id, evaluateAffine(axis.extent, binding)]))
    for (const axis of kernel.axes) this.#at.set(axis.id, 0)
    this.#definitions = kernel.definitions.map((definition) => this.#define(definition))
  }

  run(): void {
    for (const output of this.#kernel.outputs) {
      const value = this.#thunk(output.value)
      const guard = output.guard && this.#thunk(output.guard)
      const place = this.#place(output.operand, output.index)
      const target = this.#data[output.operand]!
      this.#each(output.axes, () => {
        if (!guard || guard() !== 0) target[place()] = value()
      })
    }
    this.#kernel.operands.forEach((operand, i) => {
      const scale = operand.format === 's8' ? { scale: 'f16' as const } : isByteFormat(operand.format) ? {} : undefined
      if (!scale || operand.access === 'read' || this.#mode === 'exact') return
      const x = { dtype: operand.dtype, dims: this.#dims[i]!, data: this.#data[i]! }
      const rounded = quantise.evaluate([x], scale, { mode: 'typed' } as never) as typeof x
      this.#data[i]!.set(rounded.data)
    })
    this.#select()
  }

  #select(): void {
    const { select } = this.#kernel
    if (!select) return
    const value = this.#thunk(select.value)
    const targets = [select.values, select.indices].map((target) => target && { ...target, at: this.#place(target.operand, target.index) })
    const places = targets.flatMap((target) => (target ? [target.place] : []))
    const outer = this.#kernel.axes.map((axis) => axis.id).filter((axis) => axis !== select.axis && !places.includes(axis))
    this.#each(outer, () => {
      const values: number[] = []
      this.#each([select.axis], () => values.push(value()))
      const order = values.map((_, i) => i).sort((a, b) => values[b]! - values[a]! || a - b)
      targets.forEach((target, which) => {
        for (let i = 0; target && i < select.k; i++) {
          this.#at.set(target.place, i)
          this.#data[target.operand]![target.at()] = which === 0 ? values[order[i]!]! : order[i]!
        }
      })
    })
  }

  #each(axes: readonly AxisId[], body: () => void): void {
    const [axis, ...rest] = axes
    if (axis === undefined) return body()
    const before = this.#at.get(axis)!
    const extent = this.#extent.get(axis)!
    for (let i = 0; i < extent; i++) {
      this.#at.set(axis, i)
      this.#each(rest, body)
    }
    this.#at.set(axis, before)
  }

  #define(definition: Definition): Thunk {
    const { free, over, dtype } = definition
    let body: Thunk | undefined
    const compute = (): number => {
      body ??= this.#thunk(definition.body)
      if (over.length === 0) return body()
      const step = combine[definition.combine!]
      let value = startOf(definition.combine!, dtype)
      const inner = body
      this.#each(over, () => {
        value = step(value, inner())
      })
      return this.#round(value, dtype)
    }
    const sizes = free.map((axis) => this.#extent.get(axis)!)
    const count = elements(sizes)
    if (count > memoLimit) return compute
    const steps = strides(sizes)
    const known = new Float64Array(count)
    const done = new Uint8Array(count)
    return () => {
      let place = 0
      for (let i = 0; i < free.length; i++) place += this.#at.get(free[i]!)! * steps[i]!
      if (done[place] === 0) {
        known[place] = compute()
        done[place] = 1
      }
      return known[place]!
    }
  }

  #round(value: number, dtype: Dtype): number {
    return isFloat(dtype) && this.#mode === 'exact' ? value : rounding[dtype](value)
  }

  #index(index: Index): Thunk {
    const environment = {
      axis: (id: AxisId) => this.#at.get(id)!,
      symbol: (name: string) => evaluateAffine({ const: 0, terms: [[name, 1]] }, this.#binding),
      value: (e: Expr) => this.#thunk(e)(),
    }
    if (index.kind === 'axis') return () => this.#at.get(index.axis)!
    return () => evaluateIndex(index, environment)
  }

  /** Row-major place of an element, each index clamped. */
  #place(operand: number, index: readonly Index[]): Thunk {
    const dims = this.#dims[operand]!
    const steps = strides(dims)
    const parts = index.map((each) => this.#index(each))
    return () => {
      let place = 0
      for (let i = 0; i < parts.length; i++) place += Math.max(0, Math.min(dims[i]! - 1, parts[i]!())) * steps[i]!
      return place
    }
  }

  #thunk(e: Expr): Thunk {
    let thunk = this.#thunks.get(e)
    if (!thunk) this.#thunks.set(e, (thunk = this.#compile(e)))
    return thunk
  }

  #compile(e: Expr): Thunk {
    if (e.kind === 'const') return () => e.value
    if (e.kind === 'index') return this.#index(e.index)
    if (e.kind === 'value') return () => this.#definitions[e.definition]!()
    if (e.kind === 'load') {
      const place = this.#place(e.operand, e.index)
      const data = this.#data[e.operand]!
      return () => data[place()] ?? 0
    }
    const args = e.args.map((arg) => this.#thunk(arg))
    const [a, b, c] = args
    if (e.fn === 'where') return () => (a!() !== 0 ? b!() : c!())
    const from = typeOf(e.args[0]!)
    if (isFloat(e.dtype) && this.#mode === 'exact') {
      if (e.fn === 'mul') return () => a!() * b!()
      if (e.fn === 'add') return () => a!() + b!()
    }
    return () =>
      this.#round(
        applyScalar(
          e.fn,
          args.map((arg) => arg()),
          e.dtype,
          from,
        ),
        e.dtype,
      )
  }
}

const typeOf = (e: Expr): Dtype => (e.kind === 'index' ? 'i32' : e.dtype)

/** Runs one kernel on logical values, one array an operand; outputs are written into theirs. */
export function evaluateKernel(kernel: Kernel, operands: readonly Float64Array[], binding: Binding, mode: Mode = 'exact'): void {
  new KernelRun(kernel, operands, binding, mode).run()
}

export interface ProgramInputs {
  /** Values of a concrete path (`layers[3].attn.wq`). */
  readonly weight: (path: string) => Float64Array
  /** Arrays by concrete path; written in place. */
  readonly state: (path: string) => Float64Array
  readonly argument: (name: string) => Float64Array
  readonly constant: (id: string) => Float64Array
  readonly binding: Binding
  readonly mode?: Mode
}

/** Runs a whole entry; gives its results in order. States are changed in place. */
export function evaluateSteps(program: KernelProgram, inputs: ProgramInputs): Float64Array[] {
  const values = new Map<string, Float64Array>()
  const valueCalled = (id: string): Float64Array => {
    const info = program.values.get(id)
    if (!info) throw new Error(`internal: the program has no value ${id}`)
    if (!values.has(id)) values.set(id, new Float64Array(elements(info.dims.map((dim) => evaluateAffine(dim, inputs.binding)))))
    return values.get(id)!
  }
  const read = (source: OperandSource): Float64Array => {
    if (source.kind === 'value') return valueCalled(source.id)
    if (source.kind === 'argument') return inputs.argument(source.name)
    if (source.kind === 'constant') return inputs.constant(source.id)
    return source.kind === 'weight' ? inputs.weight(source.path) : inputs.state(source.path)
  }
  /** A run of rows of a weight that was cut reads that part of its values. */
  const operandOf = ({ source, dims }: Operand, frames: readonly Frame[]): Float64Array => {
    const values = read(fillSource(source, frames))
    if (source.kind !== 'weight' || !source.rows) return values
    const row = elements(dims.slice(1).map((dim) => evaluateAffine(dim, inputs.binding)))
    return values.subarray(source.rows[0] * row, source.rows[1] * row)
  }
  for (const { kernel, frames } of launchesOf(program)) {
    evaluateKernel(
      kernel,
      kernel.operands.map((operand) => operandOf(operand, frames)),
      inputs.binding,
      inputs.mode,
    )
  }
  return program.results.map(read)
}
