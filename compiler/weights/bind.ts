// Joins a specialised model's weights with a checkpoint's tensors by a naming table. Everything is decided from names and shapes;
// bytes are read when the caller asks for a weight. What does not fit becomes a diagnostic, never an exception: L501 nothing in
// the file (or no rule) for a weight, L510 sizes differ, L511 a step or a storage type does not work, L520 tensors left over.

import { type Code, diagnose } from '../../dsl/codes.ts'
import type { Diagnostic, Severity } from '../../dsl/diagnostics.ts'
import type { CheckpointTable, WeightBinding } from '../../dsl/model.ts'
import type { WeightInfo } from '../../dsl/sink.ts'
import type { Span } from '../../dsl/source.ts'
import { formatNames, isFormatName, type FormatName } from '../formats/index.ts'
import { globTest, nearestNames } from './names.ts'
import { joinTensors, product, Unfit, type PlainTensor } from './plain-tensor.ts'
import { explanations, factorisation, linesUp } from './reshape.ts'
import { applySteps, type StepContext } from './steps.ts'
import type { StoredTensor } from './stored-tensor.ts'

/** A weight with its bytes: dims as the model declares them. */
export interface BoundWeight {
  readonly path: string
  readonly dims: readonly number[]
  readonly format: FormatName
  /** Plain row-major bytes in `format`, after all steps; read and made anew at each call. */
  read(): Uint8Array
}

export interface BindOptions {
  /** Left-over tensors are a warning. */
  readonly loose?: boolean
}

export interface Bound {
  readonly sources: ReadonlyMap<string, BoundWeight>
  readonly diagnostics: readonly Diagnostic[]
}

type Tensors = ReadonlyMap<string, StoredTensor>

/** Near names are looked for while someone reads them: a file of another model lacks hundreds of weights, and each search costs. */
const mostSearched = 20

/** Binds every weight that has storage (tied ones have none). */
export function bindWeights(
  weights: readonly WeightInfo[],
  table: CheckpointTable,
  checkpoint: { readonly tensors: Tensors },
  options: BindOptions = {},
): Bound {
  const { tensors } = checkpoint
  const byPath = new Map(weights.map((weight) => [weight.path, weight]))
  const diagnostics: Diagnostic[] = []
  const sources = new Map<string, BoundWeight>()
  const used = new Set<string>()
  for (const binding of table.bindings) {
    for (const name of [...binding.sources.map((source) => findName(source.alternatives, tensors)), ...joinedNames(binding)]) {
      if (name !== undefined) used.add(name)
    }
  }
  const unused = [...tensors.keys()].filter((name) => !used.has(name))
  const ruled = new Set<string>()
  for (const binding of table.bindings) {
    let failed = false
    for (const [target, path] of binding.targets.entries()) {
      const weight = byPath.get(path)
      ruled.add(path)
      // Weights that share a tensor share what is wrong with it.
      if (!weight || weight.tied !== undefined || failed) continue
      const bound = bindOne(weight, target, binding, byPath, tensors, unused, diagnostics.length < mostSearched)
      failed = 'code' in bound
      if ('code' in bound) diagnostics.push(bound)
      else sources.set(path, bound)
    }
  }
  for (const weight of weights) {
    if (weight.tied === undefined && !ruled.has(weight.path))
      diagnostics.push(noRule(weight, table, diagnostics.length < mostSearched ? unused : [], tensors))
  }
  const left = leftOver(unused, table, options.loose ? 'warning' : 'error')
  if (left) diagnostics.push(left)
  return { sources, diagnostics }
}

/** Tells, before numbers are known, whether the file has a tensor for a weight path. */
export function hasTensorFor(table: CheckpointTable, checkpoint: { readonly tensors: Tensors }): (weightPath: string) => boolean {
  return (path) =>
    table.bindings.some(
      ({ targets, sources }) =>
        targets.includes(path) && sources.every(({ alternatives }) => findName(alternatives, checkpoint.tensors) !== undefined),
    )
}

const findName = (alternatives: readonly string[], tensors: Tensors): string | undefined => alternatives.find((name) => tensors.has(name))

const joinedNames = ({ steps }: WeightBinding): string[] => steps.flatMap((step) => (step.op === 'join' ? step.names : []))

function bindOne(
  weight: WeightInfo,
  target: number,
  binding: WeightBinding,
  byPath: ReadonlyMap<string, WeightInfo>,
  tensors: Tensors,
  unused: readonly string[],
  search: boolean,
): BoundWeight | Diagnostic {
  const parts: PlainTensor[] = []
  const files: string[] = []
  const copies = binding.stacked ? binding.sources.length : 1
  const context: StepContext = {
    elements: binding.targets.map((path) => product(byPath.get(path)?.dims ?? []) / copies),
    target,
    find: (name) => usable(name, tensors),
  }
  let stored: StoredTensor | undefined
  for (const { alternatives } of binding.sources) {
    const name = findName(alternatives, tensors)
    if (name === undefined) return missing(weight, binding, alternatives, unused, tensors, search)
    stored = tensors.get(name)!
    files.push(`${name} [${stored.dims.join(', ')}] (${stored.file})`)
    const plain = usable(name, tensors)
    const part = plain instanceof Unfit ? plain : applySteps(plain, binding.steps, context)
    if (part instanceof Unfit) return unfit(weight, binding, name, stored, part)
    parts.push(part)
  }
  const whole = parts.length === 1 && !binding.stacked ? parts[0]! : joinTensors(parts, binding.stacked)
  if (whole instanceof Unfit) return unfit(weight, binding, files.join(', '), stored!, whole)
  if (!linesUp(whole.dims, weight.dims)) return sizesDiffer(weight, binding, whole, files)
  return { path: weight.path, dims: weight.dims, format: whole.format, read: () => whole.read() }
}

/** A stored tensor as one that steps can work on. */
function usable(name: string, tensors: Tensors): PlainTensor | Unfit {
  const tensor = tensors.get(name)
  if (!tensor) return new Unfit(`the file has no tensor ${name}`)
  const { format, dims } = tensor
  if (!isFormatName(format)) return new Unfit(`${name} is stored as ${format}, which cannot be computed with`)
  return { format, dims, read: () => tensor.bytes() }
}

function diagnostic(
  code: Code,
  message: string,
  weight: WeightInfo | undefined,
  notes: readonly string[],
  help?: string,
  rule?: Span,
): Diagnostic {
  const declared = weight ? [{ span: weight.span, text: `[${weight.labels.join(', ')}]` }] : []
  const labels = rule ? [{ span: rule }, ...declared] : declared
  return diagnose(code, { message, labels, notes, ...(help === undefined ? {} : { help }) })
}

const listNames = (names: readonly string[], tensors: Tensors): string[] =>
  names.map((name) => `the file has ${name} [${tensors.get(name)!.dims.join(', ')}]`)

function missing(
  weight: WeightInfo,
  { span }: WeightBinding,
  alternatives: readonly string[],
  unused: readonly string[],
  tensors: Tensors,
  search: boolean,
): Diagnostic {
  const wanted = alternatives[0]!
  const near = search ? nearestNames(wanted, unused.length > 0 ? unused : tensors.keys(), 3) : []
  const message = `the checkpoint has no tensor ${alternatives.join(' or ')} for ${weight.path}`
  return diagnostic('L501', message, weight, listNames(near, tensors), near[0] && `did you mean  "${near[0]}"  ?`, span)
}

function noRule(weight: WeightInfo, table: CheckpointTable, unused: readonly string[], tensors: Tensors): Diagnostic {
  const fitting = unused.filter((name) => product(tensors.get(name)!.dims) === product(weight.dims))
  const near = nearestNames(weight.path, fitting, 3)
  const format = table.arch === undefined ? table.format : `${table.format}("${table.arch}")`
  const help = near[0] && `add to \`checkpoint ${format}\`:  ${weight.path} <- "${near[0]}"`
  return diagnostic('L501', `${weight.path} has no rule in \`checkpoint ${format}\``, weight, listNames(near, tensors), help)
}

const readable = `${formatNames.slice(0, -1).join(', ')} or ${formatNames.at(-1)}`

function unfit(weight: WeightInfo, { span }: WeightBinding, name: string, stored: StoredTensor, problem: Unfit): Diagnostic {
  const notes = [`the file has ${name} [${stored.dims.join(', ')}] ${stored.format} (${stored.file})`]
  const help = isFormatName(stored.format)
    ? undefined
    : `take a file whose weights are ${readable}; llama.cpp's llama-quantize makes them from f16`
  return diagnostic('L511', `${weight.path} cannot be made from ${name}: ${problem.why}`, weight, notes, help, span)
}

function sizesDiffer(
  weight: WeightInfo,
  { sources, steps, span }: WeightBinding,
  whole: PlainTensor,
  files: readonly string[],
): Diagnostic {
  const reasons = explanations(whole.dims, weight)
  const notes = [
    ...files.slice(0, 3).map((file) => `the file has ${file}`),
    ...(steps.length > 0 ? [`after ${steps.map((step) => step.op).join(', ')}: [${whole.dims.join(', ')}]`] : []),
    `the model wants ${factorisation(weight, whole.dims)}`,
    ...reasons.map((reason) => reason.text),
  ]
  const turned = whole.dims.length === 2 && linesUp(whole.dims.toReversed(), weight.dims)
  const help = turned
    ? 'the file may hold it the other way round: add  |> transpose'
    : reasons[0] && `use  --config path/config.json  or  --set ${reasons[0].field}=${reasons[0].value}`
  return diagnostic('L510', `${weight.path} does not fit ${sources[0]!.alternatives.join(' or ')}`, weight, notes, help, span)
}

function leftOver(unused: readonly string[], table: CheckpointTable, severity: Severity): Diagnostic | undefined {
  const tests = table.ignored.map(globTest)
  const left = unused.filter((name) => !tests.some((test) => test(name)))
  if (left.length === 0) return undefined
  const notes = left.slice(0, 8).map((name) => name)
  if (left.length > notes.length) notes.push(`… and ${left.length - notes.length} more`)
  const message = `${left.length} tensor${left.length > 1 ? 's' : ''} of the checkpoint ${left.length > 1 ? 'are' : 'is'} used by no weight`
  const help = `if the model does not need ${left.length > 1 ? 'them' : 'it'}:  ignore "${left[0]!.replace(/\.\d+\./g, '.*.')}"`
  return { ...diagnose('L520', { message, labels: [], notes, help }), severity }
}
