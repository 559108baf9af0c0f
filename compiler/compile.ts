// The whole pipeline, from a specialised model to what an artifact is made of. Read it top to bottom.

import type { Diagnostic } from '../dsl/diagnostics.ts'
import type { EntryInfo, SpecialisedModel } from '../dsl/model.ts'
import type { EntryManifest } from '../runtime/artifact/manifest.ts'
import type { CompactTokenizer } from '../runtime/tokenizer/compact.ts'
import type { ArtifactContents, ArtifactTensor, VariantContents } from './artifact/write.ts'
import { portableSources, type SourceRecord } from './artifact/source-record.ts'
import { buildGraph } from './graph/builder.ts'
import type { Constant, Graph } from './graph/types.ts'
import type { KernelProgram } from './kernel/program.ts'
import { buildKernels } from './kernel/steps.ts'
import { analyseWeights, withWeights } from './kernel/weights.ts'
import { isFormatName } from './formats/index.ts'
import { mergeSiblings } from './passes/merge-siblings.ts'
import { type PassOptions, runGraphPasses } from './passes/pipeline.ts'
import { splitWeights } from './passes/split-weights.ts'
import { type Layout, planLayout } from './plan/layout.ts'
import { makePlan, type Plan } from './plan/plan.ts'
import { canonicalPaths, patternOf, planWeights, type QuantPolicy, resolveTies, type WeightPlan } from './plan/weights.ts'
import { type Target, targets, type TargetName } from './targets/index.ts'
import type { BoundWeight } from './weights/bind.ts'
import { prepareTensor } from './weights/prepare.ts'

export interface CompileOptions extends PassOptions {
  readonly targets: readonly TargetName[]
  /** 'strict': no relaxed SIMD, f32 activations. 'fast' (default): relaxed SIMD, 8-bit activations against quantised weights. */
  readonly math?: 'fast' | 'strict'
  readonly quant?: QuantPolicy
  /** Weights by path. Absent: compile without weights. */
  readonly weights?: ReadonlyMap<string, BoundWeight>
  readonly tokenizer?: CompactTokenizer
  /** The texts and limits behind `model`, for the artifact to keep. */
  readonly source?: Pick<SourceRecord, 'entry' | 'files' | 'maximum'>
}

/** What one target made, for `--emit` and `inspect`. */
export interface TargetResult {
  readonly target: TargetName
  /** After the target's passes, one per entry, as `programs` are made from them. */
  readonly graphs: readonly Graph[]
  readonly programs: readonly KernelProgram[]
  readonly plan?: Plan
  readonly variants: readonly VariantContents[]
  /** Program texts by name: WAT, WGSL. */
  readonly texts: ReadonlyMap<string, string>
}

export interface Compilation {
  readonly model: SpecialisedModel
  /** As elaborated: the definition of every result, for the reference. */
  readonly graphs: readonly Graph[]
  readonly results: readonly TargetResult[]
  readonly contents: ArtifactContents
  readonly notes: readonly string[]
}

/** Compiles every entry for every target. Diagnostics are the user's; anything else that goes wrong is thrown. */
export function compileModel(model: SpecialisedModel, options: CompileOptions): { readonly compilation?: Compilation; readonly diagnostics: readonly Diagnostic[] } {
  const diagnostics: Diagnostic[] = []
  const graphs: Graph[] = []
  for (const entry of model.entries) {
    const built = buildGraph(model, entry.name)
    diagnostics.push(...built.diagnostics)
    if (built.graph) graphs.push(built.graph)
  }
  if (graphs.length < model.entries.length) return { diagnostics }

  const math = options.math ?? 'fast'
  const canonical = canonicalPaths(model.weights)
  const simple = graphs.map((graph) => runGraphPasses(graph, options))
  // Weights are stored once for all targets, so their plan comes before any target's own passes.
  const stored = (path: string): string | undefined => options.weights?.get(path)?.format
  const kernelsFor = (graph: Graph): KernelProgram => resolveTies(mergeSiblings(buildKernels(graph)), canonical)
  const layouts = analyseWeights(simple.map(kernelsFor))
  const choice = planWeights(model.weights, layouts, options.quant ?? 'keep', stored)
  const formatOf = (path: string): string => choice.plans.get(patternOf(canonical(path)))?.format ?? 'f32'
  const isQuantised = (path: string): boolean => formatOf(path).startsWith('q')

  const lowered = options.targets.map((name) => {
    const target = targets[name]
    const own = simple.map((graph) => (target.quantisedActivations && math === 'fast' ? runGraphPasses(graph, { ...options, quantised: isQuantised }) : graph))
    const programs = own.map((graph) => withWeights(kernelsFor(graph), layouts, formatOf))
    return { name, target, own, programs }
  })
  const constants = new Map(lowered.flatMap(({ own }) => own.flatMap((graph) => [...graph.constants])))
  const layout = planLayout(model.weights, choice.plans, constants.values(), model.states)
  const results = lowered.map(({ name, target, own, programs }) => lowerTarget(name, target, own, programs, layout, model.entries, math))
  const contents: ArtifactContents = {
    manifest: {
      generator: 'llamac 0.1.0',
      model: model.name,
      ...(model.preset === undefined ? {} : { preset: model.preset }),
      config: model.config,
      parameters: model.parameters,
      math,
      entries: model.entries.map((entry) => describeEntry(entry, model)),
      states: layout.states,
    },
    tensors: layout.tensors.map((entry) => tensorOf(entry, choice.plans, options.weights, constants)),
    withWeights: options.weights !== undefined,
    variants: results.flatMap(({ variants }) => variants),
    tokenizer: options.tokenizer,
    ...(options.source ? { source: { ...portableSources(options.source.entry, options.source.files), maximum: options.source.maximum, model: model.name, targets: options.targets, disabledPasses: options.disabledPasses ?? [] } } : {}),
  }
  return { compilation: { model, graphs, results, contents, notes: choice.notes }, diagnostics }
}

function lowerTarget(name: TargetName, target: Target, graphs: readonly Graph[], whole: readonly KernelProgram[], layout: Layout, entries: readonly EntryInfo[], math: 'fast' | 'strict'): TargetResult {
  const { machine } = target
  if (!machine) return { target: name, graphs, programs: whole, variants: [{ target: 'reference', requires: [] }], texts: new Map() }
  const programs = whole.map((program) => splitWeights(program, machine.bindingBytes, (operand) => layout.sizeOf(operand)))
  const plan = makePlan(layout, programs.map((program, i) => ({ info: entries[i]!, program })), machine)
  return { target: name, graphs, programs, plan, ...target.lower!(plan, math) }
}

function tensorOf(
  entry: Layout['tensors'][number], plans: ReadonlyMap<string, WeightPlan>, weights: CompileOptions['weights'], constants: ReadonlyMap<string, Constant>,
): ArtifactTensor {
  const { path, dims, format, layout, bytes } = entry
  const produce = (): Uint8Array => {
    if (path.startsWith('table:')) {
      const { data } = constants.get(path.slice('table:'.length))!
      return new Uint8Array((format === 'f32' ? Float32Array.from(data) : Int32Array.from(data)).buffer)
    }
    const bound = weights?.get(path)
    const plan = plans.get(patternOf(path))!
    if (!bound || !isFormatName(format)) throw new Error(`internal: no bytes for ${path}`)
    return prepareTensor(bound, plan)
  }
  return { path, dims, format, layout, bytes, produce }
}

const roles: ReadonlySet<string> = new Set(['prefill', 'decode', 'score', 'encode'])

function describeEntry(entry: EntryInfo, model: SpecialisedModel): EntryManifest {
  const vocab = model.config['vocab']
  return {
    name: entry.name,
    ...(entry.doc === undefined ? {} : { doc: entry.doc }),
    arguments: entry.arguments.map((argument) =>
      argument.kind === 'index'
        ? argument
        : {
            kind: 'tensor', name: argument.name, dtype: argument.type.dtype, dims: argument.type.dims, labels: argument.labels,
            // Token ids are checked once here; kernels clamp other indices.
            ...(argument.type.dtype === 'i32' && typeof vocab === 'number' && /^(tokens|target|source)$/.test(argument.name) ? { below: vocab } : {}),
          }),
    symbols: entry.symbols,
    limits: entry.limits,
    results: entry.results.map(({ type, labels }) => ({ dtype: type.dtype, dims: type.dims, labels })),
    ...(roles.has(entry.name) ? { role: entry.name as NonNullable<EntryManifest['role']> } : {}),
  }
}
