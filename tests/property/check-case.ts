// One case through every level and pass configuration, each level against the one above: text, typed reference, optimised graph,
// kernels, loops of both machines, the WASM module, the WGSL dispatch list. All calls of the session run in order at each level,
// states going on. Configurations whose programs print alike are run once. Throws a Failure at the first difference.

import { tensorBytes } from '../../compiler/artifact/contents.ts'
import { type PlannedTarget, planGraphs } from '../../compiler/compile.ts'
import { parseGraph } from '../../compiler/graph/parse.ts'
import { printGraph } from '../../compiler/graph/print.ts'
import { is, type Graph } from '../../compiler/graph/types.ts'
import { verifyGraph } from '../../compiler/graph/verify.ts'
import { evaluateSteps } from '../../compiler/kernel/evaluate.ts'
import { printProgram } from '../../compiler/kernel/print.ts'
import { verifyProgram } from '../../compiler/kernel/verify.ts'
import { inModelOrder } from '../../compiler/kernel/states.ts'
import { kernelsOf } from '../../compiler/kernel/weights.ts'
import type { CacheFormat } from '../../compiler/plan/caches.ts'
import { graphPasses, optionalPasses, runGraphPasses } from '../../compiler/passes/pipeline.ts'
import type { Plan } from '../../compiler/plan/plan.ts'
import type { LoopFunction } from '../../compiler/schedule/loops.ts'
import { type Machine, webgpuMachine } from '../../compiler/schedule/machine.ts'
import { createReference, type StateValues } from '../../compiler/targets/reference/evaluate.ts'
import { lowerWasm } from '../../compiler/targets/wasm/lower.ts'
import { buildModule } from '../../compiler/targets/wasm/module.ts'
import { functionsWithSubgroups, lowerWebgpu } from '../../compiler/targets/webgpu/lower.ts'
import { programFor, type WebgpuProgram } from '../../runtime/artifact/manifest.ts'
import { LlamacError } from '../../runtime/error.ts'
import { emptyState, stateValues } from '../support/states.ts'
import { runPlannedLoops, type Team } from '../support/planned-loops.ts'
import { BoundedRun, type BoundedStates } from './bounded-evaluation.ts'
import { boundWeights, type Case, inputsOf, modelOf, product, valuesOf } from './case.ts'
import { type BoundedValues, Failure, type FailureKind, firstDifference, type Tally, type Values } from './compare.ts'
import { type Configuration, configurations, everything, nothing } from './configurations.ts'
import { choicesFrom } from './grower.ts'
import { nodesOf } from './random-graph.ts'
import { openWasm } from './run-wasm.ts'
import { openWebgpu, type Pipelines } from './run-webgpu.ts'

/** Rounding of one operation: f32, and f64 with room for another order of summation. */
const f32 = 2 ** -24
const f64 = 2 ** -46

/** What WebGPU's devices have; more than a workgroup has is all of it. */
const subgroupSizes = [4, 8, 16, 32, 64, 128]

/** Threads that run their parts between two barriers one after the other: the last one first, or another one each time. */
const teams: readonly Team[] = [
  { threads: 3, order: () => [2, 1, 0] },
  { threads: 2, order: (epoch) => (epoch % 2 === 0 ? [0, 1] : [1, 0]) },
]

interface WrittenProgram {
  readonly level: string
  readonly program: WebgpuProgram
}

export interface CheckOptions {
  /** The device of `pipelines` has subgroups, and workgroup memory for more than kernels need: modules' forms run there too. */
  readonly forms?: boolean
  readonly levels: ReadonlySet<'wasm' | 'webgpu'>
  /** Where WGSL runs; without it the loops of that machine are the last level. */
  readonly pipelines?: Pipelines
  readonly report?: CheckReport
}

/** What was done, summed over cases. */
export interface CheckReport extends Tally {
  programs: number
  configurations: number
  refused: Map<string, number>
  /** In how many cases an op occurs, in the graph or after the passes. */
  ops: Map<string, number>
  /** In how many cases a pass changed something. */
  changed: Map<string, number>
  seconds: Map<string, number>
}

export const newReport = (): CheckReport => ({
  programs: 0,
  configurations: 0,
  refused: new Map(),
  ops: new Map(),
  changed: new Map(),
  seconds: new Map(),
  elements: 0,
  unknown: 0,
  notFinite: 0,
})

const count = (map: Map<string, number>, key: string, by = 1): void => void map.set(key, (map.get(key) ?? 0) + by)

/** Faults of the verifiers that the compiler itself runs. */
const isVerifiers = (message: string): boolean => /^internal: (graph .* after|loop function|the WASM module is invalid)/.test(message)

/** Graph passes that depend on how things are stored: they are left to the planner. */
const storagePasses: readonly string[] = ['halve-states', 'quantise-states', 'quantise-activations']

const isGraphPass = (name: string): boolean => graphPasses.some((pass) => pass.name === name)

/** Values of all states in the model's order, from their words by number or path. */
const statesOf = ({ layout }: Plan, read: (index: number, path: string) => Int32Array): Map<string, Float64Array> =>
  new Map(layout.states.map((state, i) => [state.path, stateValues(state, read(i, state.path))]))

class Check {
  readonly case: Case
  readonly options: CheckOptions
  readonly report: CheckReport
  readonly source: readonly BoundedValues[]
  readonly weights: ReadonlyMap<string, { readonly dims: readonly number[]; readonly data: Float64Array; readonly error: Float64Array }>
  readonly inputs: readonly Record<string, Float64Array>[]
  readonly seen = new Set<string>()
  readonly bounded = new Map<string, readonly BoundedValues[]>()

  constructor(random: Case, options: CheckOptions) {
    this.case = random
    this.options = options
    this.report = options.report ?? newReport()
    const values = new Map(
      random.weights.map((weight) => [
        weight.path,
        valuesOf(weight.tied === undefined ? weight : random.weights.find(({ path }) => path === weight.tied)!),
      ]),
    )
    this.weights = new Map(
      random.weights.map(({ path, dims, format }) => {
        const data = values.get(path)!
        // A kernel may take d·Σq·x and the offset's sum apart: both are as large as the block, however small the weight.
        const size = /^q[456]/.test(format) ? 16 * f32 * data.reduce((most, x) => Math.max(most, Math.abs(x)), 0) : 0
        return [path, { dims, data, error: new Float64Array(data.length).fill(size) }]
      }),
    )
    this.inputs = random.calls.map((_, i) => inputsOf(random, i))
    this.source = this.boundsOf(random.graph, f64, false)
  }

  /** Texts and graphs are asked for again and again. */
  readonly texts = new Map<Graph, string>()
  readonly simple = new Map<string, Graph>()

  textOf(graph: Graph): string {
    const text = this.texts.get(graph) ?? printGraph(graph)
    this.texts.set(graph, text)
    return text
  }

  simplified(disabledPasses: readonly string[]): Graph {
    const left = disabledPasses.filter((name) => !storagePasses.includes(name) && isGraphPass(name))
    const known = this.simple.get(left.join()) ?? runGraphPasses(this.case.graph, { disabledPasses: left, verify: true })
    this.simple.set(left.join(), known)
    return known
  }

  get quantised(): boolean {
    return this.case.weights.some(({ format }) => format.startsWith('q'))
  }

  /** Runs one level; what it throws is a crash, or a verifier's complaint. */
  at<T>(level: string, configuration: Configuration, body: () => T): T {
    const started = performance.now()
    try {
      return body()
    } catch (cause) {
      throw this.asFailure(level, configuration, cause)
    } finally {
      count(this.report.seconds, level, (performance.now() - started) / 1000)
    }
  }

  asFailure(level: string, { name }: Configuration, cause: unknown): unknown {
    if (cause instanceof Failure || cause instanceof LlamacError) return cause
    const { message, stack = '' } = cause as Error
    const kind: FailureKind = isVerifiers(message) ? 'verifier' : message.startsWith('out of bounds') ? 'mismatch' : 'crash'
    return new Failure(kind, level, name, kind === 'crash' ? `${message}\n${stack.split('\n').slice(1, 6).join('\n')}` : message)
  }

  /** Values of every call with their bounds. */
  boundsOf(graph: Graph, unit: number, rounds: boolean): BoundedValues[] {
    const exact = unit < 2 ** -40
    const weight = (path: string): { data: Float64Array; error: Float64Array } => {
      const { data, error } = this.weights.get(path)!
      return { data, error: exact ? new Float64Array(data.length) : error }
    }
    let states: BoundedStates = new Map()
    return this.case.calls.map((binding, i) => {
      const run = new BoundedRun(graph, { weight, unit, rounds }, binding, this.inputs[i]!, states)
      const results = run.run()
      states = new Map([...states, ...run.written])
      return { results, states }
    })
  }

  /** Bounds of f32 levels, kept per graph: several configurations end in one. */
  boundsOfFinal(graph: Graph): readonly BoundedValues[] {
    const key = this.textOf(graph)
    const known = this.bounded.get(key) ?? this.boundsOf(graph, f32, true)
    this.bounded.set(key, known)
    return known
  }

  compare(
    level: string,
    { name }: Configuration,
    actual: Values,
    wanted: readonly BoundedValues[],
    call: number,
    text: () => string,
  ): void {
    const difference = firstDifference(actual, wanted[call]!, this.report)
    if (difference !== undefined)
      throw new Failure('mismatch', level, name, `call ${call} ${JSON.stringify(this.case.calls[call])}: ${difference}\n${text()}`)
  }

  expectNone(level: string, { name }: Configuration, faults: readonly string[]): void {
    if (faults.length > 0) throw new Failure('verifier', level, name, faults.slice(0, 3).join('; '))
  }

  // ---- levels

  text(): void {
    const { graph } = this.case
    this.at('graph text', everything, () => {
      this.expectNone('graph text', everything, verifyGraph(graph))
      const text = printGraph(graph)
      const read = parseGraph(text)
      this.expectNone('graph text', everything, verifyGraph(read))
      if (printGraph(read) !== text)
        throw new Failure('mismatch', 'graph text', everything.name, 'printing what was parsed gives another text')
    })
  }

  /** The reference itself, exactly and rounding to types. */
  reference(): void {
    const typedBounds = this.boundsOf(this.case.graph, f32, true)
    for (const [mode, wanted] of [
      ['exact', this.source],
      ['typed', typedBounds],
    ] as const) {
      const level = `reference (${mode})`
      this.at(level, everything, () => {
        const reference = createReference([this.case.graph], { weight: (path) => this.weights.get(path)!, mode })
        let states: StateValues = new Map()
        this.case.calls.forEach((binding, i) => {
          const run = reference.run(this.case.graph.entry, binding, this.inputs[i]!, states)
          states = run.states
          this.compare(level, everything, { results: run.results.map(({ data }) => data), states }, wanted, i, () => '')
        })
      })
    }
  }

  /** The graph after the passes computes what the source computes. */
  graph(graph: Graph, configuration: Configuration): void {
    const level = 'optimised graph'
    this.at(level, configuration, () => {
      this.expectNone(level, configuration, verifyGraph(graph))
      const text = this.textOf(graph)
      if (this.seen.has(`graph\n${text}`)) return
      this.seen.add(`graph\n${text}`)
      if (printGraph(parseGraph(text, graph.constants)) !== text)
        throw new Failure('mismatch', level, configuration.name, 'printing what was parsed gives another text')
      const reference = createReference([graph], { weight: (path) => this.weights.get(path)! })
      let states: StateValues = new Map()
      this.case.calls.forEach((binding, i) => {
        const run = reference.run(graph.entry, binding, this.inputs[i]!, states)
        states = run.states
        this.compare(level, configuration, { results: run.results.map(({ data }) => data), states }, this.source, i, () => text)
      })
    })
  }

  kernels({ graphs: [graph], programs: [program], plan }: PlannedTarget, target: string, configuration: Configuration): void {
    const level = `kernels for ${target}`
    this.at(level, configuration, () => {
      this.expectNone(level, configuration, verifyProgram(program!))
      const rounds = nodesOf(graph!).some(({ op }) => op === 'quantise')
      // A rounding to 8 bits inside a kernel is written out there, so no mode turns it off.
      const mode = rounds ? 'typed' : 'exact'
      const wanted = mode === 'exact' ? this.source : this.boundsOfFinal(graph!)
      const states = new Map(this.case.states.map(({ path, dims }) => [path, new Float64Array(product(dims))]))
      this.case.calls.forEach((binding, i) => {
        const results = evaluateSteps(program!, {
          binding,
          mode,
          weight: (path) => this.weights.get(path)!.data,
          state: (path) => states.get(path)!,
          argument: (name) => this.inputs[i]![name]!,
          constant: (id) => graph!.constants.get(id)!.data,
        })
        const named = new Map(plan!.layout.states.map((state) => [state.path, inModelOrder(states.get(state.path)!, state)]))
        this.compare(`${level} (${mode})`, configuration, { results, states: named }, wanted, i, () => printProgram(program!))
      })
    })
  }

  loops(
    { graphs: [graph], programs: [program], plan }: PlannedTarget,
    tensors: readonly Uint8Array[],
    target: string,
    configuration: Configuration,
    { team, subgroup }: { readonly team?: Team; readonly subgroup?: number } = {},
  ): void {
    const level = `loops for ${target}${team ? ', by a team' : ''}${subgroup === undefined ? '' : `, by subgroups of ${subgroup}`}`
    this.at(level, configuration, () => {
      const wanted = this.boundsOfFinal(graph!)
      const words = tensors.map((bytes) => new Int32Array(bytes.slice().buffer))
      const states = new Map(plan!.layout.states.map((state) => [state.path, emptyState(state)]))
      this.case.calls.forEach((binding, i) => {
        const results = runPlannedLoops(
          plan!,
          plan!.entries[0]!,
          { tensor: (index) => words[index]!, state: (path) => states.get(path)! },
          binding,
          this.inputs[i]!,
          team,
          subgroup,
        )
        this.compare(level, configuration, { results, states: statesOf(plan!, (_, path) => states.get(path)!) }, wanted, i, () =>
          printProgram(program!),
        )
      })
    })
  }

  wasm(
    { graphs: [graph], programs: [program], plan }: PlannedTarget,
    tensors: readonly Uint8Array[],
    relaxed: boolean,
    configuration: Configuration,
  ): void {
    const level = relaxed ? 'WASM with relaxed SIMD' : 'WASM'
    this.at(level, configuration, () => {
      const wanted = this.boundsOfFinal(graph!)
      // Both widths of addresses get their share.
      const lowered = lowerWasm(plan!, { wide: configuration.disabled.length % 2 === 1 })
      const { binary } = buildModule(lowered.program, { relaxed, pairs: relaxed })
      const session = openWasm(binary, lowered, plan!.entries[0]!.info, plan!.layout.states, tensors)
      this.case.calls.forEach((binding, i) => {
        const results = session.call(binding, this.inputs[i]!)
        this.compare(level, configuration, { results, states: statesOf(plan!, session.state) }, wanted, i, () => printProgram(program!))
      })
    })
  }

  async wgsl(
    { graphs: [graph], programs: [kernels], plan }: PlannedTarget,
    tensors: readonly Uint8Array[],
    configuration: Configuration,
    { level, program }: WrittenProgram,
  ): Promise<void> {
    const started = performance.now()
    try {
      const wanted = this.boundsOfFinal(graph!)
      const session = await openWebgpu(this.options.pipelines!, program, plan!.entries[0]!.info, plan!.layout.states, tensors)
      for (const [i, binding] of this.case.calls.entries()) {
        const results = await session.call(binding, this.inputs[i]!)
        const words = await Promise.all(this.case.states.map((_, s) => session.state(s)))
        this.compare(level, configuration, { results, states: statesOf(plan!, (s) => words[s]!) }, wanted, i, () => printProgram(kernels!))
      }
      session.close()
    } catch (cause) {
      throw this.asFailure(level, configuration, cause)
    } finally {
      count(this.report.seconds, level, (performance.now() - started) / 1000)
    }
  }

  /** The plain program, and in the default configuration what one kind of device would run instead. */
  writtenForms(plan: Plan, configuration: Configuration): readonly WrittenProgram[] {
    const program = lowerWebgpu(plan, { subgroups: true })
    const plain = { level: 'WGSL', program }
    if (!this.options.forms || configuration !== everything) return [plain]
    const subgroup = subgroupSizes[this.report.programs % 7]
    if (subgroup === undefined) return [plain, { level: 'WGSL with subgroups', program: programFor(program, ['subgroups']) }]
    const emulated = lowerWebgpu(plan, { subgroups: true, emulated: { subgroup } })
    return [plain, { level: `WGSL with subgroups of ${subgroup} and f16`, program: programFor(emulated, ['shader-f16', 'subgroups']) }]
  }

  // ---- one configuration

  async configuration(configuration: Configuration, math: 'fast' | 'strict', cache: CacheFormat = 'f32'): Promise<void> {
    const { disabled } = configuration
    this.report.configurations++
    const simple = this.at('graph passes', configuration, () => this.simplified(disabled))
    const later = ['quantise-activations', 'fuse', 'merge-siblings', 'order-states'].filter(
      (pass) => disabled.includes(pass) && (pass !== 'quantise-activations' || (this.quantised && math === 'fast')),
    )
    const key = `${math} ${cache} ${later.join()}\n${this.textOf(simple)}`
    if (this.seen.has(key)) return
    this.seen.add(key)
    const isDefault = configuration === everything
    const withWgsl = this.options.levels.has('webgpu') && math === 'fast' && (isDefault || configuration === nothing)
    // The default goes the whole way; others begin with the graph that they gave, which no pass needs to change again.
    const [graph, left] = isDefault
      ? [this.case.graph, disabled]
      : [simple, [...disabled, ...optionalPasses.filter((name) => isGraphPass(name) && !storagePasses.includes(name))]]
    if (this.options.levels.has('wasm')) await this.target('wasm', graph, left, math, configuration, cache)
    if (withWgsl) await this.target('webgpu', graph, left, math, configuration, cache)
    if (isDefault && cache === 'f32') this.note(simple)
  }

  async target(
    target: 'wasm' | 'webgpu',
    graph: Graph,
    disabledPasses: readonly string[],
    math: 'fast' | 'strict',
    configuration: Configuration,
    cache: CacheFormat,
  ): Promise<void> {
    const plan = (machine: Partial<Machine>) =>
      this.at(`compiling for ${target}`, configuration, () => {
        const planned = planGraphs(modelOf(this.case), [graph], {
          targets: [target],
          disabledPasses,
          math,
          cache,
          weights: boundWeights(this.case),
          verify: true,
          ...(target === 'webgpu' ? { machines: { webgpu: { ...webgpuMachine, ...machine } } } : {}),
        })
        return { made: planned.targets[0]!, tensors: planned.tensors.map(tensorBytes) }
      })
    let planned: ReturnType<typeof plan>
    try {
      planned = this.inSmallMemory(plan)
    } catch (cause) {
      if (!(cause instanceof LlamacError)) throw cause
      count(this.report.refused, cause.code)
      return
    }
    const { made, tensors } = planned
    if (configuration === everything && math === 'fast') this.noteProgram(made, target, cache)
    const key = `${target}\n${printProgram(made.programs[0]!)}`
    if (this.seen.has(key)) return
    this.seen.add(key)
    this.report.programs++
    this.graph(made.graphs[0]!, configuration)
    this.kernels(made, target, configuration)
    this.loops(made, tensors, target, configuration)
    if (target === 'wasm' && configuration === everything)
      for (const team of teams) this.loops(made, tensors, target, configuration, { team })
    if (target === 'webgpu') {
      const plan = { ...made.plan!, functions: functionsWithSubgroups(made.plan!) }
      this.loops({ ...made, plan }, tensors, target, configuration, {
        subgroup: subgroupSizes[this.report.programs % subgroupSizes.length]!,
      })
      if (!this.options.pipelines) return
      for (const written of this.writtenForms(made.plan!, configuration)) await this.wgsl(made, tensors, configuration, written)
      return
    }
    const both = configuration === everything || configuration === nothing
    if (both || math === 'strict') this.wasm(made, tensors, false, configuration)
    if (math === 'fast') this.wasm(made, tensors, true, configuration)
  }

  /**
   * Bindings that weights must be cut for, dispatches that are too long from 64 multiply-adds on, scratch memory that leaves a few words for
   * a tile of a row, tiles of tokens from two on, and short chunks of positions: as small as the case says. What a machine refuses has its own size in the next attempt:
   * not every kernel can be cut.
   */
  inSmallMemory<T>(plan: (machine: Partial<Machine>) => T): T {
    const { bindingBytes, graph } = this.case
    const scratch = [2, 5, 24, undefined][nodesOf(graph).length % 4]
    let machine: Partial<Machine> = {
      shortestTile: 2,
      shortestChunk: [2, 4, webgpuMachine.shortestChunk][nodesOf(graph).length % 3]!,
      ...(bindingBytes > 0 ? { bindingBytes } : {}),
      ...(bindingBytes === 512 ? { dispatchMadds: 64 } : {}),
      ...(scratch === undefined ? {} : { scratchWords: webgpuMachine.threads + scratch }),
    }
    for (;;) {
      try {
        return plan(machine)
      } catch (cause) {
        if (!(cause instanceof LlamacError)) throw cause
        const { bindingBytes: bindings, scratchWords, ...rest } = machine
        if (cause.code === 'E_TENSOR_TOO_LARGE' && bindings !== undefined)
          machine = { ...rest, ...(scratchWords === undefined ? {} : { scratchWords }) }
        else if (cause.code === 'E_SCRATCH' && scratchWords !== undefined)
          machine = { ...rest, ...(bindings === undefined ? {} : { bindingBytes: bindings }) }
        else throw cause
      }
    }
  }

  // ---- what the passes did

  note(simple: Graph): void {
    const { changed } = this.report
    graphPasses.reduce((before, { name, run }) => {
      const after = run(before, {})
      if (!storagePasses.includes(name) && printGraph(after) !== printGraph(before)) count(changed, name)
      return after
    }, this.case.graph)
    if (nodesOf(simple).some((node) => is(node, 'slice') && is(node.operands[0]!, 'constant'))) count(changed, 'tables by position')
    for (const op of new Set([...nodesOf(this.case.graph), ...nodesOf(simple)].map((node) => node.op))) count(this.report.ops, op)
  }

  noteProgram({ graphs: [graph], programs: [program], plan }: PlannedTarget, target: string, cache: CacheFormat): void {
    const { changed } = this.report
    const { states } = plan!.layout
    if (cache !== 'f32') {
      if (states.some(({ dtype }) => dtype === 'f16') && cache === 'f16') count(changed, `halve-states (${target})`)
      if (states.some(({ format }) => format)) count(changed, `quantise-states (${target})`)
      return
    }
    if (states.some(({ order }) => order)) count(changed, `order-states (${target})`)
    const nodes = nodesOf(graph!)
    if (nodes.some(({ op }) => op === 'quantise')) count(changed, 'quantise-activations')
    const groupsOf = (of: Graph): number[] => nodesOf(of).flatMap((node) => (is(node, 'loop') ? [node.attributes.groups.length] : []))
    if (groupsOf(graph!).join() !== groupsOf(this.case.graph).join()) count(changed, `split groups (${target})`)
    const steps = program!.steps.flatMap((step) => (step.kind === 'loop' ? step.groups.flat() : [step]))
    if (steps.some(({ kind }) => kind === 'launch')) count(changed, `merge-siblings (${target})`)
    const kernels = kernelsOf(program!.steps)
    if (kernels.some(({ name }) => name.includes('_part'))) count(changed, 'split-weights')
    // Only tiles keep vectors.
    const isTile = ({ operands }: LoopFunction): boolean => operands.some(({ memory, vector }) => memory.kind === 'scratch' && vector)
    if (kernels.some(({ name }) => isTile(plan!.functions.get(name)!))) count(changed, 'tiles of contracts')
    if (
      kernels.length <
      nodes.filter(({ op }) => !['literal', 'size', 'iota', 'weight', 'state', 'argument', 'param', 'result', 'constant'].includes(op))
        .length
    )
      count(changed, `fuse (${target})`)
  }
}

/** Throws a Failure, or returns when all levels agree. */
export async function checkCase(random: Case, options: CheckOptions): Promise<void> {
  let check: Check
  try {
    check = new Check(random, options)
  } catch (cause) {
    throw new Failure('crash', 'reference', everything.name, `${(cause as Error).message}\n${(cause as Error).stack}`)
  }
  check.text()
  check.reference()
  // Deterministic for a case: random subsets follow from its text.
  const text = printGraph(random.graph)
  const tape = Array.from({ length: 64 }, (_, i) => (text.charCodeAt((i * 97 + 11) % text.length) * 31 + i * 7) >>> 2)
  for (const configuration of configurations(choicesFrom(tape))) await check.configuration(configuration, 'fast')
  if (random.states.some(({ dtype }) => dtype === 'f32'))
    for (const cache of ['f16', 'q8_0'] as const) await check.configuration(everything, 'fast', cache)
  if (check.quantised) for (const configuration of [everything, nothing]) await check.configuration(configuration, 'strict')
}
