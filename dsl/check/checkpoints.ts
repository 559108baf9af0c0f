// A model's own checkpoint tables before any number or file is known: every rule's weights are declared, its indices are
// those of its parts, every hole of a name is filled, and its steps and conditions can be read. Whether each weight
// has a rule is a question of numbers (dsl/checkpoint.ts), whether it fits one of the file.

import type { Checkpoint, Expr, Make, Rule, WeightPath } from '../ast.ts'
import { stepOf } from '../checkpoint-steps.ts'
import type { FlatBlock } from '../resolve/blocks.ts'
import { atom } from '../sizes.ts'
import type { Span } from '../source.ts'
import { suggest } from '../suggest.ts'
import { namesIn } from '../config.ts'
import { evaluate, truth } from './expressions.ts'
import { configFrame, type Home, replaced } from './instances.ts'
import { didYouMean, Report } from './report.ts'

type BindRule = Extract<Rule, { kind: 'bind' }>

export function checkTables(model: FlatBlock, home: Home, report: Report): void {
  const { tree } = model.declared
  if (tree.kind !== 'model') return
  for (const member of tree.members) if (member.kind === 'checkpoint') checkTable(member, model, home, report)
}

function checkTable({ rules }: Checkpoint, model: FlatBlock, home: Home, report: Report): void {
  const frame = configFrame(home, model.declared.module)
  const ruled = new Map<string, Span>()
  for (const rule of rules) {
    if (rule.kind === 'bind' && !rule.when) for (const { span } of rule.targets) ruledTwice(span, ruled, report)
    if (rule.kind === 'expect') report.once(rule.span, () => evaluate(rule.value, frame))
    if (rule.kind === 'bind') report.once(rule.span, () => checkRule(rule, model, home, report))
  }
}

// Later rules win over inherited ones; two of one table are a slip.
function ruledTwice(span: Span, ruled: Map<string, Span>, report: Report): void {
  const path = span.source.text.slice(span.start, span.end)
  const first = ruled.get(path)
  if (first)
    report.add('L204', `\`${path}\` has two rules`, [
      { span, text: 'here again' },
      { span: first, text: 'first here' },
    ])
  else ruled.set(path, span)
}

function checkRule(rule: BindRule, model: FlatBlock, home: Home, report: Report): void {
  for (const target of rule.targets) if (!checkTarget(target, model, home, report)) return
  const [first, ...others] = rule.targets
  const indices = indicesOf(first)
  const frame = configFrame(home, model.declared.module)
  for (const name of indices) frame.locals.set(name, { kind: 'size', size: atom(name) })
  for (const target of others) {
    const strange = target.steps.find(({ index }) => index && !indices.includes(index.text))?.index
    if (strange) {
      unfilled(report, strange.text, strange.span, indices, 'an index of the first weight')
      return
    }
  }
  const { source } = rule
  if (source.kind === 'each') {
    if (source.how.text !== 'stack') {
      const help = didYouMean(source.how.text, ['stack']) ?? 'stack(e < n, "…{e}…")'
      report.add('L507', `there is no source \`${source.how.text}\``, [{ span: source.how.span }], { help })
      return
    }
    if (evaluate(source.count, frame).kind === 'unknown') return
  }
  const known = source.kind === 'each' ? [...indices, source.index.text] : indices
  // `when i == 0` tells the layers apart as well.
  const chosen = [...namesIn(rule.when)]
  if (!checkHoles(source.pattern, source.span, known, chosen, report)) return
  for (const step of rule.steps) {
    for (const arg of step.args) {
      if (step.name.text !== 'join' || arg.kind !== 'positional' || arg.value.kind !== 'string') continue
      if (!checkHoles(arg.value.value, arg.span, indices, chosen, report)) return
    }
    if (!stepOf(step, rule.targets.length, (name) => name, frame, report)) return
  }
  if (rule.when) truth(rule.when, frame)
}

const indicesOf = (path: WeightPath | undefined): string[] => path?.steps.flatMap(({ index }) => (index ? [index.text] : [])) ?? []

/** Every `{x}` is an index, and every index that could tell tensors apart is used, if not by the name by the rule's condition. */
function checkHoles(pattern: string, span: Span, indices: readonly string[], chosen: readonly string[], report: Report): boolean {
  const holes = [...pattern.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string)
  const strange = holes.find((name) => !indices.includes(name))
  if (strange !== undefined) return unfilled(report, strange, span, indices, 'an index of the weight')
  const idle = indices.find((name) => !holes.includes(name) && !chosen.includes(name))
  if (idle === undefined || /^\d+$/.test(idle)) return true
  report.add('L508', `every \`${idle}\` would read the same tensor: the name has no \`{${idle}}\``, [{ span }])
  return false
}

function unfilled(report: Report, name: string, span: Span, indices: readonly string[], what: string): false {
  const near = suggest(name, indices) ?? (indices.length === 1 ? indices[0] : undefined)
  report.add('L508', `\`${name}\` is not ${what}`, [{ span }], near === undefined ? {} : { help: `did you mean \`${near}\`?` })
  return false
}

/** Whether a path names a weight of the model, whatever conditions say. */
export const isDeclaredIn = (path: WeightPath, model: FlatBlock, home: Home): boolean => checkTarget(path, model, home, new Report())

/** Follows `layers[i].attn.wq` through the blocks that may stand there; false after a message. */
function checkTarget(path: WeightPath, model: FlatBlock, home: Home, report: Report): boolean {
  let blocks: readonly FlatBlock[] = [model]
  for (const [i, { name, index }] of path.steps.entries()) {
    const isLast = i === path.steps.length - 1
    const kind = isLast ? 'weight' : 'part'
    const found = blocks.flatMap((block) => block.members.get(name.text) ?? []).filter((m) => m.kind === kind)
    if (found.length === 0) {
      const names = blocks.flatMap((block) => [...block.members].filter(([, m]) => m.kind === kind).map(([n]) => n))
      const whole = allPaths(blocks, home)
      const rest = path.steps.slice(i).map((step) => step.name.text + (step.index ? `[${step.index.text}]` : ''))
      const near = suggest(name.text, names) ?? suggest(rest.join('.'), whole)
      const where =
        i === 0
          ? model.name
          : path.steps
              .slice(0, i)
              .map((step) => step.name.text)
              .join('.')
      const help = near === undefined ? `it has ${[...new Set(names)].join(', ') || `no ${kind}s`}` : `did you mean \`${near}\`?`
      report.add('L503', `\`${where}\` has no ${kind} \`${name.text}\``, [{ span: name.span }], { help })
      return false
    }
    const isArray = found.some((m) => m.kind === 'part' && m.tree.range !== undefined)
    if (!isLast && isArray !== (index !== undefined)) {
      const help = isArray ? `${name.text}[i]` : name.text
      report.add('L503', isArray ? `\`${name.text}\` is a list of parts` : `\`${name.text}\` is one part`, [{ span: name.span }], { help })
      return false
    }
    if (!isLast) blocks = found.flatMap((m) => (m.kind === 'part' ? blocksOf(m, blocks, home) : []))
  }
  return true
}

type PartMember = Extract<ReturnType<FlatBlock['members']['get']>, { kind: 'part' }>

/** Every block that a part may be, whatever its conditions say. */
function blocksOf(part: PartMember, within: readonly FlatBlock[], home: Home): FlatBlock[] {
  const makes = (tree: Make): string[] => (tree.kind === 'make' ? [tree.block.text] : [...makes(tree.yes), ...makes(tree.no)])
  return makes(part.tree.make).flatMap((name) => {
    const declared = part.module.names.get(name)
    const owner = within.find((block) => block.members.get(part.name) === part)
    const block = declared && home.flat(replaced(home, declared, owner).declared)
    return block ? [block] : []
  })
}

/** Paths below some blocks, as a rule would write them; two levels are enough to repair a lost dot. */
function allPaths(blocks: readonly FlatBlock[], home: Home, depth = 2): string[] {
  return blocks.flatMap((block) =>
    [...block.members.values()].flatMap((m): string[] => {
      if (m.kind === 'weight') return [m.name]
      if (m.kind !== 'part' || depth === 0) return []
      const front = m.tree.range ? `${m.name}[${(m.tree.range as { index: { text: string }; count: Expr }).index.text}]` : m.name
      return allPaths(blocksOf(m, [block], home), home, depth - 1).map((rest) => `${front}.${rest}`)
    }),
  )
}
