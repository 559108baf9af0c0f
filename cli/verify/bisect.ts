// From a call whose result is wrong to the first kernel that is. The call's kernels are evaluated one after the other in f64,
// rounding as f32 does where the program rounds; the device runs each one alone on the very operands that the evaluation has
// at that point, so an error cannot come from before. If every kernel is right alone, either the kernels mean something else
// than the model (the evaluation's own result tells), or a kernel does not find what was meant for it: then everything up to
// each launch runs in the planned memory.

import { evaluateKernel } from '../../compiler/kernel/evaluate.ts'
import type { Frame } from '../../compiler/graph/paths.ts'
import { inMemoryOrder } from '../../compiler/kernel/states.ts'
import { quantise } from '../../compiler/ops/quantise.ts'
import { rounding, type Tensor } from '../../compiler/ops/tensor.ts'
import { fillSource, type Launch, launchesOf } from '../../compiler/kernel/launches.ts'
import { sourceKey } from '../../compiler/kernel/program.ts'
import type { Kernel, Operand, OperandSource } from '../../compiler/kernel/types.ts'
import type { Recompiled, StoredWeights } from '../../compiler/recompile.ts'
import type { StateValues } from '../../compiler/targets/reference/evaluate.ts'
import { type Binding, evaluate, show } from '../../dsl/affine.ts'
import { position } from '../../dsl/source.ts'
import { elementCount } from '../../runtime/artifact/affine.ts'
import type { StateManifest } from '../../runtime/artifact/manifest.ts'
import { judgeOutput, judgeResult, type Verdict } from './judge.ts'
import { type KernelProbe, neededOperands, type ProbeMode, placedOperands, writtenOperands } from './probe.ts'
import { fromWords, toWords } from './words.ts'

export interface ExaminedCall {
  readonly entry: string
  readonly symbols: Binding
  readonly inputs: Readonly<Record<string, ArrayLike<number>>>
  /** As the reference has them before the call. */
  readonly states: StateValues
  /** What the reference gives. */
  readonly wanted: readonly Tensor[]
}

export interface KernelFault {
  readonly kernel: string
  readonly entry: string
  /** Place among the entry's launches, from 0, and how many there are. */
  readonly launch: number
  readonly launches: number
  /** Such as `layers[3]`; empty outside of loops. */
  readonly instance: string
  /** 'alone': it computes wrong numbers from right operands. 'up to': its operands are not what they should be by then. */
  readonly mode: ProbeMode
  readonly axes: readonly { readonly name: string; readonly extent: string; readonly size: number }[]
  /** Lines of the model that the kernel computes, the root's first. */
  readonly places: readonly { readonly file: string; readonly line: number; readonly text: string }[]
  /** The operand that is wrong, and its element that is off most. */
  readonly output: string
  readonly index: readonly number[]
  readonly got: number
  readonly wanted: number
  readonly error: number
}

export interface Examined {
  readonly kernels: number
  readonly fault?: KernelFault
  /** Every kernel agrees, but together they do not mean what the model means: a fault of the compiler. */
  readonly misbuilt?: { readonly entry: string; readonly result: number; readonly error: number }
}

/** A compilation with the values that kernels read. */
export type Evaluable = Pick<Recompiled, 'compilation' | 'result'> & { readonly weight: StoredWeights }

const mostPlaces = 4

/** Walks the kernels of one call. `bound` is that of whole results. */
export async function examineCall(
  recompiled: Evaluable,
  probe: KernelProbe,
  mode: ProbeMode,
  call: ExaminedCall,
  bound: number,
): Promise<Examined> {
  const program = recompiled.result.programs.find(({ entry }) => entry === call.entry)!
  const memory = new LogicalMemory(recompiled, call)
  const start = memory.words(neededOperands(program, launchesOf(program).length - 1, 'up to'))
  const launches = launchesOf(program)
  for (const [index, launch] of launches.entries()) {
    const inputs = mode === 'alone' ? memory.words(placedOperands(launch)) : start
    const operands = launch.kernel.operands.map((operand) => memory.array(operand, launch.frames))
    evaluateKernel(launch.kernel, operands, call.symbols, 'typed')
    const outputs = await probe.run(call.entry, index, call.symbols, inputs)
    for (const operand of writtenOperands(launch)) {
      const [got, wanted] = [fromWords(operand, outputs.get(sourceKey(operand.source))!), memory.array(operand, [])]
      // What was computed from device numbers before may differ by their errors too.
      const verdict =
        mode === 'alone'
          ? judgeOutput(got, wanted, operand.format)
          : judgeResult(got, wanted, wanted.length, bound, operand.format === 'i32')
      if (!verdict.fine)
        return { kernels: index + 1, fault: faultOf(recompiled, call, launch, index, launches.length, mode, operand, got, wanted, verdict) }
    }
  }
  for (const [result, source] of program.results.entries()) {
    const { data, dims, dtype } = call.wanted[result]!
    const { fine, error } = judgeResult(memory.source(source), data, dims.at(-1) ?? 1, bound, dtype === 'i32' || dtype === 'bool')
    if (!fine) return { kernels: launches.length, misbuilt: { entry: call.entry, result, error } }
  }
  return { kernels: launches.length }
}

/** Every source of a program as f64 values that fit f32. */
class LogicalMemory {
  readonly #recompiled: Evaluable
  readonly #call: ExaminedCall
  readonly #arrays = new Map<string, Float64Array>()
  readonly #program: Recompiled['result']['programs'][number]

  constructor(recompiled: Evaluable, call: ExaminedCall) {
    this.#recompiled = recompiled
    this.#call = call
    this.#program = recompiled.result.programs.find(({ entry }) => entry === call.entry)!
  }

  array({ source }: Operand, frames: readonly Frame[]): Float64Array {
    return this.source(fillSource(source, frames))
  }

  source(source: OperandSource): Float64Array {
    if (source.kind === 'weight') {
      const { data, dims } = this.#recompiled.weight(source.path)
      const perRow = data.length / dims[0]!
      return source.rows ? data.subarray(source.rows[0] * perRow, source.rows[1] * perRow) : data
    }
    const key = sourceKey(source)
    const known = this.#arrays.get(key)
    if (known) return known
    const made = this.#make(source)
    this.#arrays.set(key, made)
    return made
  }

  words(operands: readonly Operand[]): Map<string, Int32Array> {
    return new Map(operands.map((operand) => [sourceKey(operand.source), toWords(operand, this.source(operand.source))]))
  }

  #make(source: Exclude<OperandSource, { kind: 'weight' }>): Float64Array {
    const { symbols, inputs, states } = this.#call
    const rounded = (values: ArrayLike<number>): Float64Array => Float64Array.from(values, Math.fround)
    switch (source.kind) {
      case 'value':
        return new Float64Array(elementCount(this.#program.values.get(source.id)!.dims, symbols))
      case 'argument':
        return rounded(inputs[source.name]!)
      case 'constant': {
        const found = this.#recompiled.result.graphs.map(({ constants }) => constants.get(source.id)).find((one) => one !== undefined)
        return rounded(found!.data)
      }
      case 'state': {
        const { layout } = this.#recompiled.result.plan!
        const stored = layout.states[layout.state(source.path)]!
        const values = states.get(source.path) ?? new Float64Array(stored.dims.reduce((count, dim) => count * dim, 1))
        return asStored(inMemoryOrder(values, stored), stored)
      }
    }
  }
}

/** What a state holds of values. */
function asStored(data: Float64Array, { dtype, format, dims }: StateManifest): Float64Array {
  if (format !== 'q8_0') return data.map(rounding[dtype])
  return (quantise.evaluate([{ dtype, dims, data }], { scale: 'f16' }, { mode: 'typed' } as never) as Tensor).data
}

function faultOf(
  recompiled: Evaluable,
  { entry, symbols }: ExaminedCall,
  { kernel, frames }: Launch,
  launch: number,
  launches: number,
  mode: ProbeMode,
  operand: Operand,
  got: Float64Array,
  wanted: Float64Array,
  { worst, error }: Verdict,
): KernelFault {
  const index: number[] = []
  let rest = worst
  for (const dim of [...operand.dims].reverse()) {
    const size = evaluate(dim, symbols)
    index.unshift(rest % size)
    rest = Math.floor(rest / size)
  }
  const { source } = operand
  return {
    kernel: kernel.name,
    entry,
    launch,
    launches,
    mode,
    index,
    error,
    instance: frames.map((frame) => `${frame.array}[${frame.index}]`).join(' '),
    axes: kernel.axes.map(({ id, extent }) => ({ name: id, extent: show(extent), size: evaluate(extent, symbols) })),
    places: placesOf(recompiled, entry, kernel),
    output: source.kind === 'state' ? `state ${source.path}` : `value ${'id' in source ? source.id : sourceKey(source)}`,
    got: got[worst]!,
    wanted: wanted[worst]!,
  }
}

/** Distinct lines, the model's own before the library's where both are known. */
function placesOf({ result }: Evaluable, entry: string, { nodes = [] }: Kernel): KernelFault['places'] {
  const { spans } = result.graphs.find((graph) => graph.entry === entry)!
  const lines = new Map<string, KernelFault['places'][number]>()
  for (const node of nodes) {
    const span = spans.get(node)
    if (!span) continue
    const { source, start } = span
    const { line } = position(source, start)
    const file = source.path.startsWith('std/') ? source.path : source.path.slice(source.path.lastIndexOf('/') + 1)
    lines.set(`${file}:${line}`, { file, line, text: source.text.split('\n')[line - 1]!.trim() })
  }
  const isLibrary = ({ file }: { readonly file: string }): boolean => file.startsWith('std/')
  const all = [...lines.values()]
  return [...all.filter((place) => !isLibrary(place)), ...all.filter(isLibrary)].slice(0, mostPlaces)
}
