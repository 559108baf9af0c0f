// From flags to a compilation: finds source files, fits the config and the weights to the model, and runs the compiler. The
// only place where commands meet the language and the compiler.

import { statSync } from 'node:fs'
import { recordSources } from '../compiler/artifact/source-record.ts'
import { compileModel, type Compilation, type CompileOptions } from '../compiler/compile.ts'
import { fitForCalls } from '../compiler/call-size.ts'
import { hasErrors } from '../compiler/fit.ts'
import { type FormatName, formats, isFormatName } from '../compiler/formats/index.ts'
import { modelPaths, packageSources } from '../compiler/package-sources.ts'
import { canonicalPaths } from '../compiler/plan/weights.ts'
import { createReferenceDevice } from '../compiler/targets/reference/device.ts'
import type { TargetName } from '../compiler/targets/index.ts'
import type { BuildProgram } from '../compiler/targets/wasm/program.ts'
import {
  type BoundWeight,
  type Checkpoint,
  type CheckpointConfig,
  type Importance,
  nodeFiles,
  openCheckpoint,
  openTokenizer,
  prepareTensor,
  readConfig,
} from '../compiler/weights/index.ts'
import type { Diagnostic } from '../dsl/diagnostics.ts'
import { type CheckedModel, loadModel, type Numbers, type ReadSource, type SpecialisedModel } from '../dsl/index.ts'
import type { Device } from '../runtime/devices/device.ts'
import { LlamacError } from '../runtime/error.ts'
import type { CompactTokenizer } from '../runtime/tokenizer/compact.ts'
import type { CompileFlags } from './flags.ts'
import type { Calibration } from './measure/calibrate.ts'
import { markStart } from './measure/start-times.ts'
import { readSource, refuseFolder } from './model-files.ts'
import { readText } from './read-text.ts'
import { note, plainText, Rejected, showDiagnostics, UsageError } from './report.ts'

/** A file's text; undefined when there is none. E_SOURCE_FILE when it cannot be read. */
const sourceText = (path: string): string | undefined =>
  statSync(path, { throwIfNoEntry: false })?.isFile() ? readSource(path) : undefined

/** Files as the user names them, before what the package ships. */
export const sourceReader = (): ReadSource => packageSources(sourceText)

/** The path as the language wants it: with slashes. */
export const entryPath = (file: string): string => file.replaceAll('\\', '/')

/** Shows warnings, throws when there are errors. */
export async function accept(diagnostics: readonly Diagnostic[]): Promise<void> {
  if (hasErrors(diagnostics)) throw new Rejected(diagnostics)
  await showDiagnostics(diagnostics)
}

/** The checked model of a file. Errors: Rejected, E_SOURCE_FILE, E_NO_MODEL. */
export async function openModelFile(file: string, read: ReadSource = sourceReader()): Promise<CheckedModel> {
  refuseFolder(file)
  const entry = entryPath(file)
  const { model, diagnostics } = loadModel(entry, read)
  await accept(diagnostics)
  if (!model) throw new LlamacError('E_NO_MODEL', `${file} declares no model`)
  return model
}

/** A file's model with all that it inherits, as one text. Errors: Rejected, E_EXPAND. */
export async function expandModelFile(file: string): Promise<string> {
  const { text, problem } = (await openModelFile(file)).expand()
  if (text === undefined) throw new LlamacError('E_EXPAND', `${file} cannot be written as one file: ${problem}`)
  return text
}

interface Specialised {
  readonly model: SpecialisedModel
  readonly maximum: Readonly<Record<string, number>>
  readonly weights?: ReadonlyMap<string, BoundWeight>
  readonly checkpoint?: Checkpoint
}

async function specialise(checked: CheckedModel, flags: CompileFlags): Promise<Specialised> {
  const checkpoint = flags.weights === undefined ? undefined : openCheckpoint(flags.weights, nodeFiles)
  const numbers: Numbers = {
    set: { ...flags.set, ...(flags.ctx === undefined ? {} : { ctx: String(flags.ctx) }) },
    ...(flags.maxSeq === undefined ? {} : { maximum: { seq: flags.maxSeq } }),
    ...(flags.preset === undefined ? {} : { preset: flags.preset }),
    ...(flags.config === undefined ? {} : { config: configFile(flags.config) }),
  }
  const { model, weights, maximum, diagnostics } = fitForCalls(checked, numbers, {
    ...(checkpoint ? { checkpoint } : {}),
    ...(flags.seedWeights === undefined ? {} : { seedWeights: flags.seedWeights }),
    loose: flags.loose ?? false,
    others: { paths: modelPaths(), read: sourceReader() },
  })
  if (!model) throw new Rejected(diagnostics)
  await showDiagnostics(diagnostics)
  return { model, maximum, ...(weights ? { weights } : {}), ...(checkpoint ? { checkpoint } : {}) }
}

function configFile(path: string): CheckpointConfig {
  const source = nodeFiles.open(path)
  if (!source) throw new LlamacError('E_CHECKPOINT_NOT_FOUND', `${path}: there is no such file`)
  return readConfig(source)
}

function chooseTokenizer(flags: CompileFlags, checkpoint: Checkpoint | undefined): CompactTokenizer | undefined {
  if (flags.tokenizer !== undefined) return openTokenizer(flags.tokenizer, nodeFiles)
  const problem = checkpoint?.tokenizerProblem
  if (problem) note(`note: the tokenizer that came with the weights cannot be used: ${plainText(problem.message)}`)
  return checkpoint?.tokenizer
}

/** A model with its numbers, and all that the compiler is told besides. */
export interface Prepared {
  /** With the entries that were asked for, and with all. */
  readonly model: SpecialisedModel
  readonly whole: SpecialisedModel
  readonly options: CompileOptions
  readonly maximum: Readonly<Record<string, number>>
}

/** The model with the entries that a command runs; with all where it has none of them, so that the runtime says what is missing. */
function onlyRoles(model: SpecialisedModel, roles: readonly string[] | undefined): SpecialisedModel {
  const entries = roles ? model.entries.filter(({ name }) => roles.includes(name)) : []
  return entries.length > 0 ? { ...model, entries } : model
}

interface Asked {
  readonly buildWasm?: BuildProgram | undefined
  /** Only these entries. */
  readonly roles?: readonly string[] | undefined
}

interface AskedOfCompile extends Asked {
  readonly signal?: AbortSignal | undefined
  readonly onStored?: CompileOptions['onStored']
}

/** What the text of --calibrate tells, before anything is compiled. */
async function calibration(text: string, { whole, options }: Prepared, signal: AbortSignal | undefined): Promise<Calibration> {
  const { weights, tokenizer } = options
  if (!weights) throw new UsageError('--calibrate runs the model: give its --weights')
  const { calibrate } = await import('./measure/calibrate.ts')
  let told = performance.now()
  const onRead = (read: number, all: number): void => {
    if (performance.now() - told < 5000) return
    told = performance.now()
    note(`calibrating: ${read.toLocaleString('en-US')} of ${all.toLocaleString('en-US')} tokens`)
  }
  return calibrate(whole, { weights, ...(tokenizer ? { tokenizer } : {}) }, readText(text), { signal, onRead })
}

/** Everything before compiling; weights are bound, not read. Errors: Rejected, LlamacError, UsageError. */
export async function prepareProject(
  file: string,
  flags: CompileFlags,
  targets: readonly TargetName[],
  { buildWasm, roles }: Asked = {},
): Promise<Prepared> {
  if (flags.ctx !== undefined && flags.set?.['ctx'] !== undefined) throw new UsageError('--ctx and --set ctx=… say the same thing twice')
  const { read, files } = recordSources(sourceReader())
  const checked = await openModelFile(file, read)
  markStart('checking')
  const { model: whole, maximum, weights, checkpoint } = await specialise(checked, flags)
  const model = onlyRoles(whole, roles)
  markStart('fitting')
  const tokenizer = chooseTokenizer(flags, checkpoint)
  const options: CompileOptions = {
    targets,
    math: flags.math ?? 'fast',
    ...(flags.activations ? { activations: flags.activations } : {}),
    quant: flags.quant ?? 'keep',
    ...(flags.cache ? { cache: flags.cache } : {}),
    disabledPasses: flags.disablePass ?? [],
    printAfter: flags.printAfter ?? [],
    print: (pass, graph, text) => note(`// after ${pass}: ${graph.entry}\n${text}`),
    verify: process.env['LLAMAC_DEBUG'] === '1',
    ...(flags.tap ? { taps: flags.tap } : {}),
    ...(buildWasm ? { buildWasm } : {}),
    ...(flags.source === false ? {} : { source: { entry: entryPath(file), files, maximum } }),
    ...(weights ? { weights } : {}),
    ...(tokenizer ? { tokenizer } : {}),
  }
  return { model, whole, options, maximum }
}

export interface Project {
  readonly compilation: Compilation
  readonly calibrated?: Calibration
  readonly weights?: ReadonlyMap<string, BoundWeight>
}

/** Everything that `compile` does but for writing. Errors: Rejected, LlamacError, UsageError. */
export async function compileProject(
  file: string,
  flags: CompileFlags,
  targets: readonly TargetName[],
  { signal, onStored, ...asked }: AskedOfCompile = {},
): Promise<Project> {
  if (flags.calibrate !== undefined && !flags.quant) throw new UsageError('--calibrate weighs what --quant rounds: give --quant too')
  const prepared = await prepareProject(file, flags, targets, asked)
  const calibrated = flags.calibrate === undefined ? undefined : await calibration(flags.calibrate, prepared, signal)
  const options: CompileOptions = {
    ...prepared.options,
    ...(calibrated ? { importance: calibrated.importance } : {}),
    ...(onStored ? { onStored } : {}),
  }
  const { compilation, diagnostics } = compileModel(prepared.model, options)
  await accept(diagnostics)
  if (!compilation) throw new Error('internal: no compilation and no diagnostics')
  markStart('compiling')
  for (const text of compilation.notes) note(`note: ${text}`)
  return { compilation, ...(options.weights ? { weights: options.weights } : {}), ...(calibrated ? { calibrated } : {}) }
}

/**
 * The reference on a compilation, in f64, with the weights as the artifact stores them: a quantised weight's values are those
 * of its blocks, so that devices differ from it by their arithmetic alone.
 */
export function referenceOf({ compilation, weights, calibrated }: Project): Device {
  const { graphs, contents, model } = compilation
  const canonical = canonicalPaths(model.weights)
  const formatOf = new Map(contents.tensors.map(({ path, format }) => [path, format]))
  const known = new Map<string, { dims: readonly number[]; data: Float64Array }>()
  const weight = (path: string): { dims: readonly number[]; data: Float64Array } => {
    const own = canonical(path)
    const found = known.get(own)
    if (found) return found
    const bound = weights?.get(own)
    const format = formatOf.get(own)
    if (!bound || format === undefined || !isFormatName(format)) throw new Error(`internal: no values for ${path}`)
    const value = { dims: bound.dims, data: storedValues(bound, format, calibrated?.importance.get(own)) }
    known.set(own, value)
    return value
  }
  return createReferenceDevice(graphs, { weight })
}

/** Blocks never cross rows in a format that was chosen, so the whole weight can be taken as one row. */
function storedValues(bound: BoundWeight, format: FormatName, importance: Importance | undefined): Float64Array {
  const elements = bound.dims.reduce((product, dim) => product * dim, 1)
  const values = new Float32Array(elements)
  formats[format].decode(prepareTensor(bound, { format, layout: 'plain', rows: 1, k: elements }, { importance }), values)
  return Float64Array.from(values)
}
