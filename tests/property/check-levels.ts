// The levels of one case, each against the one above: text, typed reference, optimised graph, kernels, loops of both machines, the
// WASM module, the WGSL dispatch list. All calls of the session run in order at each level, states going on. Each throws a Failure
// at the first difference.

import type { PlannedTarget } from '../../compiler/compile.ts'
import { parseGraph } from '../../compiler/graph/parse.ts'
import { printGraph } from '../../compiler/graph/print.ts'
import type { Graph } from '../../compiler/graph/types.ts'
import { verifyGraph } from '../../compiler/graph/verify.ts'
import { evaluateSteps } from '../../compiler/kernel/evaluate.ts'
import { printProgram } from '../../compiler/kernel/print.ts'
import { inModelOrder } from '../../compiler/kernel/states.ts'
import { verifyProgram } from '../../compiler/kernel/verify.ts'
import type { Plan } from '../../compiler/plan/plan.ts'
import { createReference, type StateValues } from '../../compiler/targets/reference/evaluate.ts'
import { lowerWasm } from '../../compiler/targets/wasm/lower.ts'
import { buildModule } from '../../compiler/targets/wasm/module.ts'
import type { WebgpuProgram } from '../../runtime/artifact/manifest.ts'
import { LlamacError } from '../../runtime/error.ts'
import { runPlannedLoops, type Team } from '../support/planned-loops.ts'
import { emptyState, stateValues } from '../support/states.ts'
import { BoundedRun, type BoundedStates } from './bounded-evaluation.ts'
import { type Case, inputsOf, product, valuesOf } from './case.ts'
import { type CheckReport, count, newReport } from './check-report.ts'
import { type BoundedValues, Failure, type FailureKind, firstDifference, type Values } from './compare.ts'
import { type Configuration, everything } from './configurations.ts'
import { nodesOf } from './random-graph.ts'
import { openWasm } from './run-wasm.ts'
import { openWebgpu, type Pipelines } from './run-webgpu.ts'

/** Rounding of one operation: f32, and f64 with room for another order of summation. */
const f32 = 2 ** -24
const f64 = 2 ** -46

export interface WrittenProgram {
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

/** Faults of the verifiers that the compiler itself runs. */
const isVerifiers = (message: string): boolean => /^internal: (graph .* after|loop function|the WASM module is invalid)/.test(message)

/** Values of all states in the model's order, from their words by number or path. */
const statesOf = ({ layout }: Plan, read: (index: number, path: string) => Int32Array): Map<string, Float64Array> =>
  new Map(layout.states.map((state, i) => [state.path, stateValues(state, read(i, state.path))]))

/** A case, and what each level of it must compute. */
export class Levels {
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

  /** Texts are asked for again and again. */
  readonly texts = new Map<Graph, string>()

  textOf(graph: Graph): string {
    const text = this.texts.get(graph) ?? printGraph(graph)
    this.texts.set(graph, text)
    return text
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
}
