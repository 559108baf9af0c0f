// A checked model with numbers: config evaluated, parts made, weights and states listed with their sizes, every entry walked once
// silently to learn its results and limits.

import { type CheckpointAnswer, checkpointTable } from './checkpoint.ts'
import { checkConfigKeys, checkIdentity } from './config-keys.ts'
import { numberedHome } from './config.ts'
import { truth } from './check/expressions.ts'
import { type Instance, instanceFrame, slotOf } from './check/instances.ts'
import { dtypeOf } from './check/frames.ts'
import { join, storageType } from './check/lookup.ts'
import { rootInstance } from './check/program.ts'
import { Report } from './check/report.ts'
import { suggest } from './suggest.ts'
import { type Described, describeEntry, elaborateEntry } from './elaborate.ts'
import type { Annotation } from './ast.ts'
import type { CheckedModel, Numbers, SpecialisedModel } from './model.ts'
import type { FlatBlock } from './resolve/blocks.ts'
import type { Declared } from './resolve/modules.ts'
import { replacementsOf } from './resolve/replacements.ts'
import { formatKey } from './resolve/tables.ts'
import type { Dtype, StateInfo, WeightInfo } from './sink.ts'
import { known } from './sizes.ts'

type Flat = (declared: Declared) => FlatBlock | undefined

/** Specialises with presets, a checkpoint's config and --set. Never throws on user mistakes. */
export function specialise(model: FlatBlock, flat: Flat, numbers: Numbers): ReturnType<CheckedModel['specialise']> {
  const report = new Report()
  const preset = numbers.preset === undefined ? undefined : model.presets.get(numbers.preset)
  const name = model.declared.tree.name
  if (numbers.preset !== undefined && !preset) {
    const near = suggest(numbers.preset, model.presets.keys())
    const list = [...model.presets.keys()].map((p) => `"${p}"`).join(', ') || 'none'
    report.add(
      'L404',
      `preset "${numbers.preset}" is not defined; there are ${list}`,
      [{ span: name.span }],
      near ? { help: `did you mean "${near}"?` } : {},
    )
    return { diagnostics: report.diagnostics }
  }
  const { module } = model.declared
  const replacements = replacementsOf(model, flat, report)
  const sources = { numbers, tied: tiedBy(model), ...(preset ? { preset: { tree: preset, module } } : {}) }
  const home = numberedHome(model.config, sources, flat, replacements, report)
  const table = numbers.config && tableFor(model, numbers.config)
  if (!checkIdentity(home, table, numbers.config, model.name, report)) return { diagnostics: report.diagnostics }
  const config = home.readAll()
  checkConfigKeys(home, table, numbers.config, name.span, report)
  const root = report.hasErrors ? undefined : rootInstance(model, home, module)
  if (!root || report.hasErrors) return { diagnostics: report.diagnostics }
  const real = numbers.real ?? 'f32'
  const { weights, states } = storage(root, real)
  if (report.hasErrors) return { diagnostics: report.diagnostics }
  const context = { root, real, maximum: numbers.maximum ?? {}, report }
  const entries: Described[] = []
  for (const member of model.members.values()) {
    if (member.kind !== 'entry') continue
    const entry = describeEntry(member, context)
    if (entry) entries.push(entry)
  }
  if (report.hasErrors) return { diagnostics: report.diagnostics }
  const parameters = weights.reduce((sum, w) => sum + (w.tied === undefined ? w.dims.reduce((a, b) => a * b, 1) : 0), 0)
  const specialised: SpecialisedModel = {
    name: model.name,
    module: module.name,
    ...(numbers.preset === undefined ? {} : { preset: numbers.preset }),
    config,
    weights,
    states,
    real,
    entries: entries.map((e) => e.info),
    parameters,
    checkpoint: (format, arch): CheckpointAnswer => checkpointTable(model, root, home, weights, format, arch),
    elaborate: (entry, sink) => {
      const found = entries.find((e) => e.info.name === entry)
      if (!found) throw new Error(`internal: the model has no entry ${entry}`)
      return elaborateEntry(found, { ...context, report: new Report() }, sink)
    },
  }
  return { model: specialised, diagnostics: report.diagnostics }
}

// `weight lm_head … tied embedding when tie`: the field `tie` asks the file whether it has lm_head.
function tiedBy(model: FlatBlock): Map<string, string> {
  const fields = new Map<string, string>()
  for (const member of model.members.values()) {
    if (member.kind === 'weight' && member.tree.tied && member.tree.when?.kind === 'name') fields.set(member.tree.when.name, member.name)
  }
  return fields
}

function tableFor(model: FlatBlock, config: NonNullable<Numbers['config']>): ReturnType<FlatBlock['tables']['get']> {
  if (config.kind !== 'gguf') return model.tables.get(config.kind === 'hf' ? 'hf' : 'meta')
  return model.tables.get(formatKey('gguf', String(config.values['general.architecture'] ?? '')))
}

/** Every weight and state of the tree below `root`, in the order of declaration. */
function storage(root: Instance, real: Dtype): { weights: WeightInfo[]; states: StateInfo[] } {
  const weights: WeightInfo[] = []
  const states: StateInfo[] = []
  const visit = (instance: Instance, path: string): void => {
    const walk = { ...instance.home.walk, real }
    for (const member of instance.block.members.values()) {
      if (member.kind === 'part') {
        const slot = slotOf(instance, member.name)
        const full = join(path, member.name)
        if (slot?.kind === 'one') visit(slot.instance, full)
        else for (const [i, one] of slot?.instances.entries() ?? []) visit(one, `${full}[${i}]`)
        continue
      }
      if (member.kind !== 'weight' && member.kind !== 'state') continue
      const frame = instanceFrame(instance, path, member.module, walk)
      const holds = member.tree.when ? truth(member.tree.when, frame) : true
      const tied = member.kind === 'weight' && member.tree.tied && holds === true ? join(path, member.tree.tied.text) : undefined
      if (!holds && !(member.kind === 'weight' && member.tree.tied)) continue
      const { elem, axes } = storageType(frame, member)
      if (!axes) continue
      const dims = axes.map((axis) => {
        const size = known(axis.size)
        if (size === undefined || !Number.isInteger(size) || size < 0) {
          walk.report.add('L206', `the size of \`${axis.label}\` in \`${member.name}\` must be a whole number known at compile time`, [
            { span: member.tree.span },
          ])
        }
        return size ?? 0
      })
      if (!walk.report.use('elements', dims.includes(0) ? 0 : dims.reduce((a, b) => a * b, 1), member.tree.span)) continue
      const common = { path: join(path, member.name), dims, labels: axes.map((axis) => axis.label), span: member.tree.name.span }
      if (member.kind === 'state') states.push({ ...common, dtype: dtypeOf(frame, elem) })
      else {
        const precision = wordOf(member.tree.annotations, 'precision') as Dtype | undefined
        const quant = wordOf(member.tree.annotations, 'quant') !== 'off'
        weights.push({ ...common, quant, ...(tied === undefined ? {} : { tied }), ...(precision === undefined ? {} : { precision }) })
      }
    }
  }
  visit(root, '')
  checkTies(weights, root.home.walk.report)
  return { weights, states }
}

/** Reading an alias reads what it is tied to, so the line of aliases must end at a weight with storage. */
function checkTies(weights: readonly WeightInfo[], report: Report): void {
  const byPath = new Map(weights.map((weight) => [weight.path, weight]))
  const ends = new Set<string>()
  for (const weight of weights) {
    const line = new Set<string>()
    let at: WeightInfo | undefined = weight
    while (at?.tied !== undefined && !line.has(at.path) && !ends.has(at.path)) {
      line.add(at.path)
      at = byPath.get(at.tied)
    }
    if (at && line.has(at.path)) report.add('L203', `\`${at.path}\` is tied to itself in a circle`, [{ span: at.span }])
    for (const path of line) ends.add(path)
  }
}

/** The word in `@precision(f32)`. */
function wordOf(annotations: readonly Annotation[], name: string): string | undefined {
  const arg = annotations.find((a) => a.name.text === name)?.args[0]
  return arg?.kind === 'positional' && arg.value.kind === 'name' ? arg.value.name : undefined
}
