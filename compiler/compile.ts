// The whole pipeline, from a specialised model to what an artifact is made of. Read it top to bottom.

import type { Diagnostic } from '../dsl/diagnostics.ts'
import type { EntryInfo, SpecialisedModel } from '../dsl/model.ts'
import type { StateInfo } from '../dsl/sink.ts'
import type { CompactTokenizer } from '../runtime/tokenizer/compact.ts'
import { describeEntry } from './artifact/entries.ts'
import { tensorOf, type TensorSources } from './artifact/tensors.ts'
import type { ArtifactContents, ArtifactTensor } from './artifact/write.ts'
import { portableSources, type SourceRecord } from './artifact/source-record.ts'
import { buildGraph } from './graph/builder.ts'
import { patternOf } from './graph/paths.ts'
import { TapPatterns } from './graph/taps.ts'
import { within } from './limits.ts'
import type { Graph } from './graph/types.ts'
import type { KernelProgram } from './kernel/program.ts'
import { buildKernels } from './kernel/steps.ts'
import { orderStates, type StateOrders, withStateOrders } from './kernel/states.ts'
import { analyseWeights, withWeights } from './kernel/weights.ts'
import { observeInputs } from './passes/observe-inputs.ts'
import { mergeSiblings } from './passes/merge-siblings.ts'
import { type PassOptions, runGraphPasses, runsPass } from './passes/pipeline.ts'
import { splitGroups } from './passes/split-groups.ts'
import { splitWeights } from './passes/split-weights.ts'
import { type CacheFormat, type CacheRule, planCaches } from './plan/caches.ts'
import { checkMemory, Refused } from './plan/check-memory.ts'
import { type Layout, planLayout, type StoredState } from './plan/layout.ts'
import { makePlan, type Plan } from './plan/plan.ts'
import { policyOf, type QuantPolicy, type QuantRule } from './plan/quant-policy.ts'
import { canonicalPaths, planWeights, resolveTies } from './plan/weights.ts'
import type { ByteBlocks } from './schedule/activation-blocks.ts'
import type { Machine } from './schedule/machine.ts'
import { type Activations, activationsOf, type Lowered, targets, type TargetName } from './targets/index.ts'
import type { BuildProgram } from './targets/wasm/program.ts'

export interface CompileOptions extends PassOptions, TensorSources {
  readonly targets: readonly TargetName[]
  /** 'strict': no relaxed SIMD, f32 activations. 'fast' (default): relaxed SIMD and, on WASM, 8-bit activations against quantised weights. */
  readonly math?: 'fast' | 'strict'
  /** What quantised weights are multiplied with: int8 rounds activations to 8 bits, on every target. Default: what the target does in this math. */
  readonly activations?: Activations
  readonly quant?: QuantPolicy | readonly QuantRule[]
  /** How caches are stored; default: f32. */
  readonly cache?: CacheFormat | readonly CacheRule[]
  /** Patterns of paths whose values become further results of the entries that compute them: `layers.*` (graph/taps.ts). */
  readonly taps?: readonly string[]
  /** Behind the entries' results come, by path of the weight, the squares of what meets its columns (passes/observe-inputs.ts). */
  readonly observe?: boolean
  readonly tokenizer?: CompactTokenizer
  /** The texts and limits behind `model`, for the artifact to keep. */
  readonly source?: Pick<SourceRecord, 'entry' | 'files' | 'maximum'>
  /** Who builds WASM modules; by default this thread, when they are asked for. */
  readonly buildWasm?: BuildProgram
  /** Other numbers than a target's own machine has: tests take smaller bindings. */
  readonly machines?: Readonly<Partial<Record<TargetName, Machine>>>
  /** 64-bit addresses on WASM where 32 would do: for tests. */
  readonly wide?: boolean
}

/** One target's entries before they are printed. */
export interface PlannedTarget {
  readonly target: TargetName
  /** After all passes. */
  readonly graphs: readonly Graph[]
  readonly programs: readonly KernelProgram[]
  /** Absent where the target evaluates graphs. */
  readonly plan?: Plan
}

/** What one target made, for `--emit` and `inspect`. */
export interface TargetResult extends PlannedTarget, Lowered {}

export interface Compilation {
  readonly model: GraphModel
  /** As elaborated: the definition of every result, for the reference. */
  readonly graphs: readonly Graph[]
  readonly results: readonly TargetResult[]
  readonly contents: ArtifactContents
  readonly notes: readonly string[]
  readonly warnings: readonly Diagnostic[]
}

export interface BuiltGraphs {
  /** The model with the results that taps add. Absent, as `graphs`, when a diagnostic says why. */
  readonly model?: SpecialisedModel
  readonly graphs: readonly Graph[]
  readonly diagnostics: readonly Diagnostic[]
}

/** The graph of every entry, as elaborated. E_TAP, E_TOO_LARGE. */
export function buildGraphs(
  model: SpecialisedModel,
  { taps = [], observe = false }: Pick<CompileOptions, 'taps' | 'observe'> = {},
): BuiltGraphs {
  const diagnostics: Diagnostic[] = []
  const graphs: Graph[] = []
  const patterns = taps.length > 0 ? new TapPatterns(taps) : undefined
  const entries: EntryInfo[] = []
  for (const entry of model.entries) {
    const built = buildGraph(model, entry.name, patterns)
    diagnostics.push(...built.diagnostics)
    const { graph, kept } = built.graph && observe ? observeInputs(built.graph) : { graph: built.graph, kept: [] }
    if (graph) graphs.push(graph)
    const squares = kept.map(({ path, node: { type } }) => ({ name: path, type, labels: type.dims.map(() => 'column') }))
    entries.push({ ...entry, results: [...entry.results, ...built.taps, ...squares] })
    within(
      'nodes',
      graphs.reduce((sum, graph) => sum + graph.spans.size, 0),
      () => model.name,
    )
  }
  if (graphs.length < model.entries.length) return { graphs: [], diagnostics }
  patterns?.expectAllMatched()
  return { model: { ...model, entries }, graphs, diagnostics }
}

/** Compiles every entry for every target. Diagnostics are the user's; anything else that goes wrong is thrown. E_TAP. */
export function compileModel(
  model: SpecialisedModel,
  options: CompileOptions,
): { readonly compilation?: Compilation; readonly diagnostics: readonly Diagnostic[] } {
  const { model: tapped, graphs, diagnostics } = buildGraphs(model, options)
  if (!tapped) return { diagnostics }
  try {
    const compilation = compileGraphs(tapped, graphs, options)
    return { compilation, diagnostics: [...diagnostics, ...compilation.warnings] }
  } catch (cause) {
    if (cause instanceof Refused) return { diagnostics: [...diagnostics, ...cause.diagnostics] }
    throw cause
  }
}

/** What of a model is needed once its graphs are built. */
export type GraphModel = Omit<SpecialisedModel, 'module' | 'checkpoint' | 'elaborate'>

export interface PlannedModel {
  readonly targets: readonly PlannedTarget[]
  readonly layout: Layout
  readonly tensors: readonly ArtifactTensor[]
  readonly notes: readonly string[]
}

/** From graphs, one for each entry of the model in its order, to what the targets print. */
export function planGraphs(model: GraphModel, graphs: readonly Graph[], options: CompileOptions): PlannedModel {
  const math = options.math ?? 'fast'
  const canonical = canonicalPaths(model.weights)
  const caches = planCaches(options.cache ?? 'f32', model.states, graphs, options.disabledPasses)
  const cacheOf = (path: string): CacheFormat | undefined => caches.formats.get(patternOf(path))
  const passOptions: PassOptions = {
    ...options,
    tables: new Map(),
    ...(caches.formats.size > 0 ? { halves: (path) => cacheOf(path) === 'f16', blocks: (path) => cacheOf(path) === 'q8_0' } : {}),
  }
  const simple = graphs.map((graph) => runGraphPasses(graph, passOptions))
  // Weights are stored once for all targets, so their plan comes before any target's own passes.
  const stored = (path: string): string | undefined => options.weights?.get(path)?.format
  const launches = runsPass('merge-siblings', options) ? mergeSiblings : (program: KernelProgram): KernelProgram => program
  const built = { a8: new Map<Graph, KernelProgram>(), d8: new Map<Graph, KernelProgram>() }
  const kernelsFor = (graph: Graph, byteBlocks: ByteBlocks): KernelProgram => {
    const known =
      built[byteBlocks].get(graph) ?? resolveTies(launches(buildKernels(graph, { fuse: runsPass('fuse', options), byteBlocks })), canonical)
    built[byteBlocks].set(graph, known)
    return known
  }
  const first = simple.map((graph) => kernelsFor(graph, 'a8'))
  const layouts = analyseWeights(first)
  const stateDims = new Map(model.states.map(({ path, dims }) => [path, dims]))
  const dimsOf = (path: string): readonly number[] => stateDims.get(path)!
  const orders: StateOrders = runsPass('order-states', options) ? orderStates(first, dimsOf) : new Map()
  const owned = model.weights.flatMap(({ path, tied }) => (tied === undefined ? [path] : []))
  const choice = planWeights(model.weights, layouts, policyOf(options.quant ?? 'keep', owned), stored)
  const formatOf = (path: string): string => choice.plans.get(canonical(path))?.format ?? 'f32'
  const isQuantised = (path: string): boolean => formatOf(path).startsWith('q')
  const anyQuantised = [...choice.plans.values()].some(({ format }) => format.startsWith('q'))
  const alike = simple.map((graph) => splitGroups(graph, formatOf))

  const lowered = options.targets.map((name) => {
    const own = alike.map((graph) =>
      anyQuantised && activationsOf(name, { math, activations: options.activations }) === 'int8'
        ? runGraphPasses(graph, { ...passOptions, quantised: isQuantised })
        : graph,
    )
    const programs = own.map((graph) =>
      withStateOrders(withWeights(kernelsFor(graph, targets[name].byteBlocks), layouts, formatOf), orders, dimsOf),
    )
    return { name, own, programs }
  })
  const constants = new Map(lowered.flatMap(({ own }) => own.flatMap((graph) => [...graph.constants])))
  const layout = planLayout(
    model.weights,
    choice.plans,
    constants.values(),
    model.states.map((state) => storedAs(state, cacheOf)),
    orders,
  )
  return {
    targets: lowered.map(({ name, own, programs: whole }): PlannedTarget => {
      const machine = options.machines?.[name] ?? targets[name].machine
      if (!machine) return { target: name, graphs: own, programs: whole }
      const programs = runsPass('split-weights', options) ? whole.map((program) => splitWeights(program, machine)) : whole
      return {
        target: name,
        graphs: own,
        programs,
        plan: makePlan(
          layout,
          programs.map((program, i) => ({ info: model.entries[i]!, program })),
          machine,
        ),
      }
    }),
    layout,
    tensors: layout.tensors.map((entry) => tensorOf(entry, choice.plans, options, constants)),
    notes: [...choice.notes, ...caches.notes],
  }
}

function storedAs(state: StateInfo, cacheOf: (path: string) => CacheFormat | undefined): StoredState {
  const format = cacheOf(state.path)
  return format === 'f16' ? { ...state, dtype: format } : format === 'q8_0' ? { ...state, format } : state
}

/** The pipeline from graphs on. Errors: Refused when a target's memory is too small, and there are weights to put there. */
export function compileGraphs(model: GraphModel, graphs: readonly Graph[], options: CompileOptions): Compilation {
  const math = options.math ?? 'fast'
  const planned = planGraphs(model, graphs, options)
  const warnings: Diagnostic[] = []
  const results = planned.targets.map((made): TargetResult => {
    const { plan, target } = made
    const machine = options.machines?.[target] ?? targets[target].machine
    const tooLarge = plan && machine ? checkMemory(plan, model, target, machine, options.weights === undefined) : []
    if (tooLarge.some(({ severity }) => severity === 'error')) throw new Refused(tooLarge)
    warnings.push(...tooLarge)
    return plan
      ? {
          ...made,
          ...targets[target].lower!(plan, { math, fits: tooLarge.length === 0, wide: options.wide ?? false, build: options.buildWasm }),
        }
      : { ...made, variants: [{ target: 'reference', requires: [] }] }
  })
  const contents: ArtifactContents = {
    manifest: {
      generator: 'llamac 0.1.0',
      model: model.name,
      ...(model.preset === undefined ? {} : { preset: model.preset }),
      config: model.config,
      parameters: model.parameters,
      math,
      ...(options.activations ? { activations: options.activations } : {}),
      entries: model.entries.map((entry) => describeEntry(entry, model.config)),
      states: planned.layout.states,
    },
    tensors: planned.tensors,
    withWeights: options.weights !== undefined,
    variants: results.flatMap(({ variants }) => variants),
    tokenizer: options.tokenizer,
    ...(options.source
      ? {
          source: {
            ...portableSources(options.source.entry, options.source.files),
            maximum: options.source.maximum,
            model: model.name,
            targets: options.targets,
            disabledPasses: options.disabledPasses ?? [],
            ...(options.taps?.length ? { taps: options.taps } : {}),
          },
        }
      : {}),
  }
  const wide = contents.variants.some(({ requires }) => requires.includes('memory64'))
  const notes = wide
    ? [...planned.notes, 'wasm: memory beyond 4 GiB, so addresses have 64 bits and the engine must know such memories (memory64)']
    : planned.notes
  return { model, graphs, results, contents, notes, warnings }
}
