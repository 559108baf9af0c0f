// Joins a specialised model's weights with a checkpoint's tensors by a naming table. Everything is decided from names and shapes;
// bytes are read when the caller asks for a weight. What does not fit becomes a diagnostic, never an exception: L501 nothing in
// the file (or no rule) for a weight, L510 sizes
// differ (explained by misfit.ts), L511 a step or a storage type does not work, L520 tensors left over.

import { type Code, diagnose } from '../../dsl/codes.ts'
import type { Diagnostic, Severity } from '../../dsl/diagnostics.ts'
import type { BindingStep, CheckpointTable, WeightBinding } from '../../dsl/model.ts'
import type { WeightInfo } from '../../dsl/sink.ts'
import type { Span } from '../../dsl/source.ts'
import { formatNames, isFormatName, type FormatName } from '../formats/index.ts'
import { globTest, nearestNames } from './names.ts'
import { joinTensors, product, Unfit, type PlainTensor } from './plain-tensor.ts'
import { type Circumstances, explainMisfit, type Misfit } from './misfit.ts'
import { linesUp } from './reshape.ts'
import { applySteps, type StepContext } from './steps.ts'
import type { StoredTensor } from './stored-tensor.ts'

/** A weight with its bytes: dims as the model declares them. */
export interface BoundWeight {
  readonly path: string
  readonly dims: readonly number[]
  readonly format: FormatName
  /** Plain row-major bytes in `format`, after all steps; read and made anew at each call. */
  read(): Uint8Array
  /** Where no step changes the file's bytes: those from `offset` on, into `into`, which is given back. */
  part?(offset: number, into: Uint8Array): Uint8Array
}

export interface BindOptions extends Circumstances {
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
      const targets = binding.targets.map((each) => byPath.get(each) ?? { ...weight, path: each, dims: [] })
      const bound = bindOne(target, targets, binding, tensors)
      failed = !('read' in bound)
      if ('read' in bound) sources.set(path, bound)
      else diagnostics.push(tell(bound, weight, target, targets))
    }
  }
  function tell(fault: Fault, weight: WeightInfo, target: number, targets: readonly WeightInfo[]): Diagnostic {
    if (fault.kind === 'missing') return missing(weight, fault.binding, fault.names, unused, tensors, diagnostics.length < mostSearched)
    if (fault.kind === 'unfit') return unfit(weight, fault.binding, fault.name, fault.stored, fault.problem)
    const fits = (changed: readonly WeightInfo[], steps: readonly BindingStep[]): boolean =>
      'read' in bindOne(target, changed, { ...fault.binding, steps }, tensors)
    const { notes, help } = explainMisfit({ weight, ...fault }, targets, fits, options)
    const names = fault.binding.sources[0]!.alternatives.join(' or ')
    return diagnostic('L510', `${weight.path} does not fit ${names}`, weight, notes, help, fault.binding.span)
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

type Fault = { readonly binding: WeightBinding } & (
  | { readonly kind: 'missing'; readonly names: readonly string[] }
  | { readonly kind: 'unfit'; readonly name: string; readonly stored: StoredTensor; readonly problem: Unfit }
  | ({ readonly kind: 'sizes' } & Pick<Misfit, 'stored' | 'total' | 'files' | 'after'>)
)

/** Weight number `target` of the rule, or what is wrong. Reads no bytes. */
function bindOne(target: number, targets: readonly WeightInfo[], binding: WeightBinding, tensors: Tensors): BoundWeight | Fault {
  const weight = targets[target]!
  const found: string[] = []
  for (const { alternatives } of binding.sources) {
    const name = findName(alternatives, tensors)
    if (name === undefined) return { kind: 'missing', binding, names: alternatives }
    found.push(name)
  }
  const all = [...found, ...joinedNames(binding)].flatMap((name) => tensors.get(name) ?? [])
  const sizes = (whole: PlainTensor | Unfit): Fault => {
    const plain = binding.steps.length === 0 && !binding.stacked
    const made = whole instanceof Unfit ? whole.why : plain ? undefined : `after ${madeBy(binding)}: [${whole.dims.join(', ')}]`
    return {
      kind: 'sizes',
      binding,
      total: all.reduce((sum, { dims }) => sum + product(dims), 0),
      files: oddFirst(all).map(({ name, dims, file }) => `${name} [${dims.join(', ')}] (${file})`),
      after: made,
      ...(whole instanceof Unfit || targets.length > 1 ? {} : { stored: whole.dims }),
    }
  }
  const copies = binding.stacked ? found.length : 1
  const context: StepContext = {
    elements: targets.map(({ dims }) => product(dims) / copies),
    target,
    find: (name) => usable(name, tensors),
  }
  const parts: PlainTensor[] = []
  for (const name of found) {
    const plain = usable(name, tensors)
    const part = plain instanceof Unfit ? plain : applySteps(plain, binding.steps, context)
    if (part instanceof Unfit) return part.sizes ? sizes(part) : { kind: 'unfit', binding, name, stored: tensors.get(name)!, problem: part }
    parts.push(part)
  }
  const whole = parts.length === 1 && !binding.stacked ? parts[0]! : joinTensors(parts, binding.stacked)
  if (whole instanceof Unfit || !linesUp(whole.dims, weight.dims)) return sizes(whole)
  return { ...whole, path: weight.path, dims: weight.dims }
}

/** Those of unusual sizes first: only a few are told. */
function oddFirst(tensors: readonly StoredTensor[]): readonly StoredTensor[] {
  const alike = ({ dims }: StoredTensor): number => tensors.filter((other) => other.dims.join() === dims.join()).length
  return tensors.toSorted((a, b) => alike(a) - alike(b))
}

const madeBy = ({ steps, stacked }: WeightBinding): string => [...steps.map(({ op }) => op), ...(stacked ? ['stack'] : [])].join(', ')

/** A stored tensor as one that steps can work on. */
function usable(name: string, tensors: Tensors): PlainTensor | Unfit {
  const tensor = tensors.get(name)
  if (!tensor) return new Unfit(`the file has no tensor ${name}`)
  const { format, dims } = tensor
  if (!isFormatName(format)) return new Unfit(`${name} is stored as ${format}, which cannot be computed with`)
  return { format, dims, read: () => tensor.bytes(), ...(tensor.part ? { part: tensor.part } : {}) }
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
  // A tensor that another weight has is no suggestion.
  const meant = near[0] !== undefined && unused.includes(near[0]) ? `did you mean  "${near[0]}"  ?` : undefined
  return diagnostic('L501', message, weight, listNames(near, tensors), meant, span)
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

function leftOver(unused: readonly string[], table: CheckpointTable, severity: Severity): Diagnostic | undefined {
  const tests = table.ignored.map(globTest)
  const left = unused.filter((name) => !tests.some((test) => test(name)))
  if (left.length === 0) return undefined
  const notes = left.slice(0, 8).map((name) => name)
  if (left.length > notes.length) notes.push(`… and ${left.length - notes.length} more`)
  const message = `${left.length} tensor${left.length > 1 ? 's' : ''} of the checkpoint ${left.length > 1 ? 'are' : 'is'} used by no weight`
  const globs = [...new Set(left.map((name) => name.replace(/\.\d+(?=\.|$)/g, '.*')))]
  const lines = globs.slice(0, 4).map((glob) => `ignore "${glob}"`)
  const help = `if the model does not need ${left.length > 1 ? 'them' : 'it'}:  ${lines.join('  ')}${globs.length > lines.length ? '  …' : ''}`
  return { ...diagnose('L520', { message, labels: [], notes, help }), severity }
}
