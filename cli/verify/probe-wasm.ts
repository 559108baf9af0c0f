// The kernels that a WASM program exports, called from JavaScript with the addresses that its entries give them.

import { type LoopFunction, partsOf } from '../../compiler/schedule/loops.ts'
import { evaluateCount } from '../../compiler/schedule/count.ts'
import { lowerWasm } from '../../compiler/targets/wasm/lower.ts'
import { kernelExport } from '../../compiler/targets/wasm/module.ts'
import type { Address, Step, WasmProgram } from '../../compiler/targets/wasm/program.ts'
import { launchesOf } from '../../compiler/kernel/launches.ts'
import { sourceKey } from '../../compiler/kernel/program.ts'
import type { Operand } from '../../compiler/kernel/types.ts'
import type { EntryPlan, Plan } from '../../compiler/plan/plan.ts'
import type { Binding } from '../../dsl/affine.ts'
import { elementCount } from '../../runtime/artifact/affine.ts'
import { isWide, type WasmVariant } from '../../runtime/artifact/manifest.ts'
import type { Artifact } from '../../runtime/artifact/read.ts'
import { relaxedSimd } from '../../runtime/devices/relaxed-simd.ts'
import { createMemory, wasmUnmet } from '../../runtime/devices/wasm.ts'
import { LlamacError } from '../../runtime/error.ts'
import { arenaOffset, type KernelProbe, neededOperands, type ProbeMode, writtenOperands } from './probe.ts'
import { wordDims } from './words.ts'

interface Call {
  /** With what joins its parts, if there is that. */
  readonly functions: readonly LoopFunction[]
  readonly addresses: readonly number[]
}

/** Calls in launch order, loops unrolled; the first session's states begin at `statesBase`. */
function callsOf(steps: readonly Step[], { kernels, data, ownBase, wide }: WasmProgram, statesBase: number): Call[] {
  const functions = new Map(kernels.map((fn) => [fn.name, partsOf(fn)]))
  const visit = (list: readonly Step[], row: readonly number[]): Call[] =>
    list.flatMap((step): Call[] => {
      if (step.kind === 'barrier' || (step.kind === 'call' && step.joins)) return []
      if (step.kind === 'call')
        return [{ functions: functions.get(step.kernel)!, addresses: step.operands.map((at) => addressOf(at, row)) }]
      const { bytes } = data.find(({ address }) => address === step.table)!
      const table = wide ? Array.from(new BigInt64Array(bytes.buffer), Number) : [...new Int32Array(bytes.buffer)]
      return step.order.flatMap((group, i) => visit(step.groups[group]!, table.slice(i * step.slots, (i + 1) * step.slots)))
    })
  const bases = { absolute: 0, states: statesBase, own: ownBase }
  const addressOf = (at: Address, row: readonly number[]): number => ('slot' in at ? row[at.slot]! : at.offset) + bases[at.base]
  return visit(steps, [])
}

export class WasmProbe implements KernelProbe {
  readonly #memory: WebAssembly.Memory
  readonly #exports: WebAssembly.Exports
  readonly #plan: Plan
  readonly #memoryLayout: WasmVariant['memory']
  readonly #calls: ReadonlyMap<string, readonly Call[]>
  readonly #mode: ProbeMode
  readonly #wide: boolean

  private constructor(memory: WebAssembly.Memory, exports: WebAssembly.Exports, plan: Plan, variant: WasmVariant, mode: ProbeMode) {
    this.#memory = memory
    this.#exports = exports
    this.#plan = plan
    this.#memoryLayout = variant.memory
    this.#mode = mode
    const { program } = lowerWasm(plan, { wide: isWide(variant) })
    this.#wide = isWide(variant)
    this.#calls = new Map(program.entries.map((entry) => [entry.export, callsOf(entry.steps, program, variant.memory.statesBase)]))
  }

  /** Loads the program and the weights. E_NO_KERNELS when the program, of an older compiler, does not export its kernels. */
  static async open(artifact: Artifact, variant: WasmVariant, plan: Plan, mode: ProbeMode): Promise<WasmProbe> {
    const { memory: layout } = variant
    const memory = createMemory(layout.statesBase + layout.stateBytes, false, isWide(variant))
    const { instance } = await WebAssembly.instantiate(await artifact.program(variant), { env: { memory } })
    await artifact.loadTensors((tensor, offset, bytes) =>
      new Uint8Array(memory.buffer, layout.tensors[tensor]! + offset, bytes.length).set(bytes),
    )
    const missing = [...plan.functions.values()].flatMap(partsOf).find(({ name }) => !(kernelExport(name) in instance.exports))
    if (missing) throw new LlamacError('E_NO_KERNELS', `${variant.program} does not export its kernels: compile the model again`)
    return new WasmProbe(memory, instance.exports, plan, variant, mode)
  }

  /** Runs one launch on what is in memory. */
  call(entry: string, launch: number, symbols: Binding): void {
    const { functions, addresses } = this.#calls.get(entry)![launch]!
    for (const fn of functions) {
      const rows = fn.rows ? [0, evaluateCount(fn.rows.count, symbols)] : []
      const run = this.#exports[kernelExport(fn.name)] as (...args: readonly (number | bigint)[]) => void
      run(...(this.#wide ? addresses.map(BigInt) : addresses), ...rows, ...fn.symbols.map((name) => symbols[name]!))
    }
  }

  async run(
    entry: string,
    launch: number,
    symbols: Binding,
    inputs: ReadonlyMap<string, Int32Array>,
  ): Promise<ReadonlyMap<string, Int32Array>> {
    const plan = this.#plan.entries.find(({ info }) => info.name === entry)!
    for (const operand of neededOperands(plan.program, launch, this.#mode)) {
      const words = inputs.get(sourceKey(operand.source))!
      this.#words(plan, operand, words.length).set(words)
    }
    for (let i = this.#mode === 'alone' ? launch : 0; i <= launch; i++) this.call(entry, i, symbols)
    return new Map(
      writtenOperands(launchesOf(plan.program)[launch]!).map((operand) => [
        sourceKey(operand.source),
        this.#words(plan, operand, elementCount(wordDims(operand), symbols)).slice(),
      ]),
    )
  }

  dispose(): void {}

  #words(entry: EntryPlan, operand: Operand, count: number): Int32Array {
    const { arenaBase, statesBase } = this.#memoryLayout
    const { layout } = this.#plan
    const { source } = operand
    const at =
      source.kind === 'state' ? statesBase + layout.states[layout.state(source.path)]!.offset : arenaBase + arenaOffset(entry, operand)
    return new Int32Array(this.#memory.buffer, at, count)
  }
}

/** Of the first variant for one thread that runs here. E_NO_DEVICE, E_NO_KERNELS. */
export async function openWasmProbe(artifact: Artifact, plan: Plan, mode: ProbeMode): Promise<WasmProbe> {
  for (const variant of artifact.manifest.variants) {
    if (variant.target === 'wasm' && !variant.requires.includes('threads') && wasmUnmet(variant, await relaxedSimd()) === undefined)
      return WasmProbe.open(artifact, variant, plan, mode)
  }
  throw new LlamacError('E_NO_DEVICE', 'no WASM variant of the artifact for one thread can run here')
}
