// Naming tables: the rules of `checkpoint fmt` with part indices run through, as one binding per stored tensor (or stack of
// them). The last rule whose condition holds wins; rules for parts that are absent are skipped when inherited, an error when
// the model's own; tied weights need none, and their stored copies may be left over.

import type { Rule, WeightPath } from './ast.ts'
import { evaluate, truth } from './check/expressions.ts'
import { configFrame, type Home, type Instance, slotOf } from './check/instances.ts'
import type { Frame } from './check/frames.ts'
import { join } from './check/lookup.ts'
import { didYouMean, Report } from './check/report.ts'
import { stepOf } from './checkpoint-steps.ts'
import { beyond, limits } from './limits.ts'
import type { BindingStep, SpecialisedModel, WeightBinding } from './model.ts'
import type { FlatBlock } from './resolve/blocks.ts'
import { formatKey, type FlatRule } from './resolve/tables.ts'
import type { WeightInfo } from './sink.ts'
import { known, whole } from './sizes.ts'

export type CheckpointAnswer = ReturnType<SpecialisedModel['checkpoint']>
type BindRule = Extract<Rule, { kind: 'bind' }>

interface Bound {
  readonly binding: WeightBinding
  readonly rule: FlatRule
}

/** The table of a format, or what is wrong with it. */
export function checkpointTable(
  model: FlatBlock,
  root: Instance,
  home: Home,
  weights: readonly WeightInfo[],
  format: string,
  arch?: string,
): CheckpointAnswer {
  const report = new Report()
  const table = model.tables.get(formatKey(format, arch))
  if (!table) {
    const there = [...model.tables.keys()].join(', ') || 'none'
    report.add('L504', `${model.name} has no table for ${formatKey(format, arch)}`, [{ span: model.declared.tree.name.span }], {
      help: `write  checkpoint ${formatKey(format, arch)} { … }  (there is ${there})`,
    })
    return { diagnostics: report.diagnostics }
  }
  const byPath = new Map(weights.map((w) => [w.path, w]))
  // Rules stand in order, so a later one takes the weight over.
  const owner = new Map<string, Bound>()
  const ignored: string[] = []
  for (const rule of table.rules) {
    if (!isShort(rule.tree, report)) continue
    if (rule.tree.kind === 'ignore') ignored.push(...alternatives(rule.tree.glob))
    if (rule.tree.kind !== 'bind') continue
    const frame = configFrame({ ...home, walk: { ...home.walk, report } }, rule.module)
    let matched = false
    for (const indices of assignments(rule.tree, root)) {
      if (!report.use('steps', 1, rule.tree.span)) break
      for (const [name, value] of indices) frame.locals.set(name, { kind: 'size', size: whole(value) })
      if (rule.tree.when && truth(rule.tree.when, frame) !== true) continue
      const targets = rule.tree.targets.map((target) => pathText(target, indices))
      if (!targets.every((path) => byPath.has(path))) continue
      matched = true
      const binding = bindingOf(rule.tree, targets, indices, frame, report)
      if (!binding) continue
      if (targets.every((path) => byPath.get(path)?.tied !== undefined)) {
        // A file may hold a copy of a tied weight.
        ignored.push(...binding.sources.flatMap((s) => s.alternatives))
        continue
      }
      for (const path of targets) owner.set(path, { binding, rule })
    }
    if (!matched && rule.own && !rule.tree.when && !rule.tree.targets.every((target) => isDeclared(target, root))) {
      const help = suggestPath(rule.tree.targets[0], byPath)
      report.add('L503', 'this rule fits no weight of the model', [{ span: rule.tree.span }], help ? { help } : {})
    }
  }
  // A rule that fits nothing was most likely meant for one of these.
  const missing = report.hasErrors ? [] : weights.filter((w) => w.tied === undefined && !owner.has(w.path))
  for (const weight of missing.slice(0, 3)) {
    const more = missing.length > 3 ? { notes: [`${missing.length} weights have no rule`] } : {}
    report.add('L501', `\`${weight.path}\` has no rule in ${formatKey(format, arch)}`, [{ span: weight.span }], {
      ...more,
      help: `add  ${weight.path.replace(/\[\d+\]/g, '[i]')} <- "…"`,
    })
  }
  const bindings = [...new Set([...owner.values()].map((o) => o.binding))]
  // A rule that shares one stored tensor among several weights cannot lose only some of them to a later rule.
  for (const { binding, rule } of owner.values()) {
    const lost = binding.targets.find((path) => owner.get(path)?.binding !== binding)
    if (lost !== undefined)
      report.add(
        'L506',
        `\`${lost}\` has another rule, but the others of this one do not`,
        [
          { span: rule.tree.span },
          ...(owner.get(lost) ? [{ span: (owner.get(lost) as Bound).rule.tree.span, text: 'the other rule' }] : []),
        ],
        { help: `give ${binding.targets.filter((path) => path !== lost).join(', ')} a rule of its own as well` },
      )
  }
  if (report.hasErrors) return { diagnostics: report.diagnostics }
  return { table: { format, ...(arch === undefined ? {} : { arch }), bindings, ignored }, diagnostics: report.diagnostics }
}

/** Patterns are searched with backtracking, and choices multiply; neither by a text without end. */
function isShort(rule: FlatRule['tree'], report: Report): boolean {
  const pattern = rule.kind === 'ignore' ? rule.glob : rule.kind === 'bind' ? rule.source.pattern : ''
  if (pattern.length > limits.pattern.most) return report.exceeds(beyond('pattern'), rule.span)
  if (pattern.split(/\.\?|\|/).length - 1 > limits.optionalSegments.most) return report.exceeds(beyond('optionalSegments'), rule.span)
  return true
}

// Whether the path is declared, though a `when` may leave it out of this model: then its rule may find nothing to do.
function isDeclared({ steps }: WeightPath, root: Instance): boolean {
  let open = [root]
  for (const [i, { name }] of steps.entries()) {
    const members = open.map((instance) => instance.block.members.get(name.text))
    if (i === steps.length - 1) return members.some((m) => m?.kind === 'weight')
    if (!members.some((m) => m?.kind === 'part')) return false
    open = open.flatMap((instance) => {
      const slot = slotOf(instance, name.text)
      return slot?.kind === 'many' ? slot.instances : slot ? [slot.instance] : []
    })
    // An absent part may have held it.
    if (open.length === 0) return true
  }
  return false
}

/** All values of the index variables of a rule: `layers[i]` runs over the parts there are. */
function assignments(rule: BindRule, root: Instance): ReadonlyMap<string, number>[] {
  const [target] = rule.targets
  if (!target) return []
  let open: { instance: Instance; indices: Map<string, number> }[] = [{ instance: root, indices: new Map() }]
  for (const step of target.steps.slice(0, -1)) {
    const next: typeof open = []
    for (const { instance, indices } of open) {
      const slot = slotOf(instance, step.name.text)
      if (slot?.kind === 'one' && !step.index) next.push({ instance: slot.instance, indices })
      if (slot?.kind !== 'many' || !step.index) continue
      const name = step.index.text
      const bound = indices.get(name) ?? (/^\d+$/.test(name) ? Number(name) : undefined)
      for (const [i, one] of slot.instances.entries()) {
        if (bound === undefined || bound === i) next.push({ instance: one, indices: new Map(indices).set(name, i) })
      }
    }
    open = next
  }
  return open.map((o) => o.indices)
}

const pathText = (path: WeightPath, indices: ReadonlyMap<string, number>): string =>
  path.steps.reduce((text, { name, index }) => join(text, index ? `${name.text}[${indices.get(index.text) ?? index.text}]` : name.text), '')

function suggestPath(target: WeightPath | undefined, byPath: ReadonlyMap<string, unknown>): string | undefined {
  if (!target) return undefined
  const zero = new Map(target.steps.flatMap((s) => (s.index ? [[s.index.text, 0] as const] : [])))
  return didYouMean(pathText(target, zero), byPath.keys())
}

/** `transformer.?h` may be `transformer.h` or `h`, `norm.(weight|gamma)` either of the two. */
export function alternatives(pattern: string): string[] {
  const choice = /\(([^()]*)\)/.exec(pattern)
  if (choice) {
    const [all, words = ''] = choice
    const after = pattern.slice(choice.index + all.length)
    return words.split('|').flatMap((word) => alternatives(pattern.slice(0, choice.index) + word + after))
  }
  const at = /([^.?]+)\.\?/.exec(pattern)
  if (!at) return [pattern]
  const [all, word] = at
  const before = pattern.slice(0, at.index)
  const after = pattern.slice(at.index + all.length)
  return [...alternatives(`${before}${word}.${after}`), ...alternatives(before + after)]
}

const fill = (pattern: string, indices: ReadonlyMap<string, number>): string =>
  pattern.replace(/\{(\w+)\}/g, (hole, name: string) => (indices.has(name) ? String(indices.get(name)) : hole))

function bindingOf(
  rule: BindRule,
  targets: readonly string[],
  indices: ReadonlyMap<string, number>,
  frame: Frame,
  report: Report,
): WeightBinding | undefined {
  const { source } = rule
  const steps: BindingStep[] = []
  for (const tree of rule.steps) {
    const step = stepOf(tree, targets.length, (name) => fill(name, indices), frame, report)
    if (!step) return undefined
    steps.push(step)
  }
  const named = (pattern: string, at: ReadonlyMap<string, number>): { alternatives: string[] } => ({
    alternatives: alternatives(fill(pattern, at)),
  })
  const { span } = rule
  if (source.kind === 'name') return { span, targets, sources: [named(source.pattern, indices)], stacked: false, steps }
  const count = evaluate(source.count, frame)
  const number = count.kind === 'size' ? known(count.size) : undefined
  if (source.how.text !== 'stack' || number === undefined) {
    report.add('L507', `a source is a name or  stack(e < n, "…{e}…")`, [{ span: source.span }])
    return undefined
  }
  if (number > limits.listItems.most) {
    report.exceeds(beyond('listItems'), source.span)
    return undefined
  }
  const sources = Array.from({ length: number }, (_, e) => named(source.pattern, new Map(indices).set(source.index.text, e)))
  return { span, targets, sources, stacked: true, steps }
}
