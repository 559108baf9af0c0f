// The generic check: every op, config, block and model of the loaded modules is walked once with unknown numbers. A model's
// blocks are walked again with its replacements and its config, since what they call may be something else there.

import { genericHome, showType, whatFits } from '../config.ts'
import type { FlatBlock, FlatEntry, FlatFn, FlatMember } from '../resolve/blocks.ts'
import { flattenConfig, isCompileType, noField } from '../resolve/configs.ts'
import type { Declared, Module } from '../resolve/modules.ts'
import { replacementsOf, unlike } from '../resolve/replacements.ts'
import { callableOf, matchResult } from './calls.ts'
import { checkAnnotations } from './annotations.ts'
import { checkTables } from './checkpoints.ts'
import { isHelper, needsOf } from './conditional-members.ts'
import { evaluate, truth } from './expressions.ts'
import type { Frame } from './frames.ts'
import {
  collectFacts,
  configFrame,
  type Home,
  type Instance,
  instanceFrame,
  instanceKey,
  instantiate,
  makeChoices,
  slotOf,
} from './instances.ts'
import { axesOf, elementOf, storageType } from './lookup.ts'
import { bindStandIns, fit, standIn } from './parameters.ts'
import { sameAxes } from './primitives/arguments.ts'
import type { Report } from './report.ts'
import type { Span } from '../source.ts'
import { runBody } from './statements.ts'
import { describe, showAxes } from './values.ts'
import type { Body } from '../ast.ts'

/** Checks the checkpoint tables of one module's models; for programs without errors, which would all show in their tables again. */
export function checkModuleTables(module: Module, flat: (d: Declared) => FlatBlock | undefined, report: Report): void {
  for (const declared of module.names.values()) {
    const model = declared.module === module && declared.tree.kind === 'model' ? flat(declared) : undefined
    if (model) checkTables(model, genericHome(model.config, flat, replacementsOf(model, flat, report), report), report)
  }
}

/** Checks one module's own declarations. */
export function checkModule(module: Module, flat: (d: Declared) => FlatBlock | undefined, report: Report): void {
  for (const declared of module.names.values()) {
    if (declared.module !== module) continue
    const { tree } = declared
    if (tree.kind === 'op') checkOp(declared, report)
    else if (tree.kind === 'config') checkConfig(declared, flat, report)
    else {
      const block = flat(declared)
      if (block) checkBlock(block, flat, report)
    }
  }
}

function checkOp(declared: Declared, report: Report): void {
  const { tree, module } = declared
  if (tree.kind !== 'op') return
  const home = genericHome(undefined, () => undefined, [], report)
  const frame: Frame = { walk: home.walk, module, locals: new Map(), rows: new Map(), assumed: [], facts: [] }
  const mark = report.diagnostics.length
  report.once(tree.name.span, () => bindStandIns(frame, tree.params))
  for (const require of tree.requires) {
    report.once(require.span, () => truth(require.condition, frame))
    collectFacts(require.condition, frame, frame.facts)
  }
  checkBody({ name: tree.name.text, result: tree.result, span: tree.name.span, body: tree.body }, frame)
  report.explainBy('L212', mark)
}

/** The body against the promised result; left alone if the signature has errors. */
function checkBody(callable: Parameters<typeof matchResult>[1] & { body: Body }, frame: Frame): void {
  const { result } = callable
  const { report } = frame.walk
  const type = result && report.once(callable.span, () => ({ elem: elementOf(frame, result), axes: axesOf(frame, result.axes ?? []) }))
  const end = callable.body[0]?.span.start ?? callable.span.end
  if (report.hasErrorIn({ ...callable.span, end })) return
  const value = runBody(callable.body, frame)
  if (!result) {
    if (value.kind !== 'nothing' && value.kind !== 'unknown') {
      frame.walk.report.add('L313', `\`${callable.name}\` promises no result but returns ${describe(value)}`, [{ span: callable.span }], {
        help: 'write  -> type',
      })
    }
    return
  }
  if (type?.axes && type.elem) matchResult(frame, callable, { elem: type.elem, axes: type.axes }, value)
}

function checkConfig(declared: Declared, flat: (d: Declared) => FlatBlock | undefined, report: Report): void {
  const config = flattenConfig(declared, report)
  if (!config) return
  const home = genericHome(config, flat, [], report)
  for (const field of config.fields.values()) {
    if (!field.default) continue
    const { default: text } = field
    const value = report.once(text.span, () => evaluate(text, configFrame(home, field.module)))
    if (!isCompileType(field.type)) continue
    if (value.kind === 'unknown' || (value.kind === 'none' && field.type.optional)) continue
    if (value.kind === 'none' || !fit(field.type, value)) {
      const places = [{ span: field.default.span }, { span: field.span, text: 'declared here' }]
      report.add('L402', `\`${field.name}\` is \`${showType(field.type)}\`, not ${describe(value)}`, places, { help: whatFits(field.type) })
    }
  }
  for (const { tree, module } of config.requires) report.once(tree.span, () => truth(tree.condition, configFrame(home, module)))
}

function checkBlock(block: FlatBlock, flat: (d: Declared) => FlatBlock | undefined, report: Report): void {
  const replacements = block.kind === 'model' ? replacementsOf(block, flat, report) : []
  const home: Home = { ...genericHome(block.config, flat, replacements, report), alone: block.kind === 'block' }
  const params = new Map(block.params.map(({ tree }) => [tree.name.text, standIn(tree.type, tree.name.text)]))
  const root: Instance = { block, params, home, slots: new Map(), depth: 0 }
  const seen = new Set<string>()
  checkInstance(root, home, seen)
  if (block.kind === 'model') checkModelTexts(block, home, report)
}

function checkInstance(instance: Instance, home: Home, seen: Set<string>): void {
  const key = instanceKey(instance)
  if (seen.has(key)) return
  seen.add(key)
  for (const member of instance.block.members.values()) {
    if (member.kind === 'weight' || member.kind === 'state')
      home.walk.report.once(member.tree.span, () => checkStorage(instance, member, home))
    else if (member.kind === 'fn' || member.kind === 'entry') checkFunction(instance, member, home)
  }
  for (const { tree, module } of instance.block.requires)
    home.walk.report.once(tree.span, () => truth(tree.condition, instanceFrame(instance, '', module, home.walk)))
  for (const member of instance.block.members.values()) {
    if (member.kind !== 'part') continue
    const slot = slotOf(instance, member.name)
    for (const one of slot?.kind === 'many' ? slot.instances : slot ? [slot.instance] : []) checkInstance(one, home, seen)
    checkAlternatives(instance, member, home)
  }
}

// `part p: if c { A() } else { B() }`: whichever it will be, the same `forward` is called.
function checkAlternatives(instance: Instance, member: Extract<FlatMember, { kind: 'part' }>, home: Home): void {
  if (member.tree.make.kind !== 'choose') return
  const frame = instanceFrame(instance, '', member.module, home.walk)
  if (member.tree.range)
    frame.locals.set(
      member.tree.range.index.text,
      standIn({ name: { text: 'dim', span: member.tree.span }, optional: false, span: member.tree.span }, member.tree.range.index.text),
    )
  const choices = makeChoices(member.tree.make, frame)
  const forwards = choices.flatMap((choice) => {
    const declared = member.module.names.get(choice.block.text)
    const block = declared && home.flat(declared)
    const forward = block?.members.get('forward')
    return forward?.kind === 'fn' ? [{ choice, forward, signature: { ...forward.tree, module: forward.module } }] : []
  })
  const [first, ...rest] = forwards
  const isField = (name: string): boolean => home.config?.fields.has(name) ?? false
  const odd = rest.find(
    ({ signature }) => unlike(first!.signature, signature, [], isField) ?? unlike(signature, first!.signature, [], isField),
  )
  if (!first || !odd) return
  home.walk.report.add('L417', `the two blocks of \`${member.name}\` have different \`forward\`s`, [
    { span: first.choice.span, text: signatureText(first.forward) },
    { span: odd.choice.span, text: signatureText(odd.forward) },
  ])
}

const spanText = (span: { source: { text: string }; start: number; end: number }): string =>
  span.source.text.slice(span.start, span.end).replace(/\s+/g, ' ')

const signatureText = (fn: FlatFn): string =>
  `(${fn.tree.params.map((p) => spanText(p.type.span)).join(', ')}) -> ${fn.tree.result ? spanText(fn.tree.result.span) : 'nothing'}`

function checkStorage(instance: Instance, member: Extract<FlatMember, { kind: 'weight' | 'state' }>, home: Home): void {
  const frame = instanceFrame(instance, '', member.module, home.walk)
  if (member.tree.when) truth(member.tree.when, frame)
  checkAnnotations(member.kind, member.tree.annotations, home.walk.report)
  const { axes } = storageType(frame, member)
  if (member.kind !== 'weight' || !member.tree.tied) return
  const { text, span } = member.tree.tied
  const other = instance.block.members.get(text)
  if (other?.kind !== 'weight') {
    home.walk.report.unknown(`there is no weight \`${text}\` to tie to`, text, span, membersOf(instance.block, 'weight'))
    return
  }
  const target = storageType(frame, other).axes
  if (axes && target && !sameAxes(axes, target)) {
    home.walk.report.add(
      'L418',
      `\`${member.name}\` and \`${text}\` differ in their axes, so they cannot be tied`,
      [
        { span: member.tree.name.span, text: showAxes(axes) },
        { span: other.tree.name.span, text: showAxes(target) },
      ],
      { help: `write  ${member.name}: ${showAxes(target)}` },
    )
  }
}

// An overridden version is reached by `super` only; it is checked with its own block.
function checkFunction(instance: Instance, member: FlatFn | FlatEntry, home: Home): void {
  // `override` without anything to override has been reported; its `super` means nothing.
  if (member.tree.override && !member.inherited) return
  const callable = callableOf(member)
  if (!callable) {
    checkSpecialised(instance, member as FlatEntry, home)
    return
  }
  const base = instanceFrame(instance, '', member.module, home.walk)
  const assumed = isHelper(instance.block, member) ? [...needsOf(instance.block, member.name).keys()] : []
  const frame: Frame = { ...base, assumed, ...(member.inherited ? { inherited: member.inherited } : {}) }
  for (const { tree, module } of instance.block.requires)
    collectFacts(tree.condition, instanceFrame(instance, '', module, home.walk), frame.facts)
  const { report } = home.walk
  const mark = report.diagnostics.length
  report.once(callable.span, () => bindStandIns(frame, callable.params))
  checkBody(callable, frame)
  report.explainBy('L212', mark)
}

const membersOf = (block: FlatBlock, kind: FlatMember['kind']): Map<string, Span> =>
  new Map([...block.members].filter(([, m]) => m.kind === kind).map(([name, m]) => [name, m.tree.name.span]))

function checkSpecialised(instance: Instance, entry: FlatEntry, home: Home): void {
  const { definition } = entry.tree
  if (definition.kind !== 'specialise') return
  const of = instance.block.members.get(definition.of.text)
  if (of?.kind !== 'entry') {
    const { text, span } = definition.of
    home.walk.report.unknown(`there is no entry \`${text}\``, text, span, membersOf(instance.block, 'entry'))
  }
}

function checkModelTexts(model: FlatBlock, home: Home, report: Report): void {
  for (const preset of model.presets.values()) {
    for (const binding of preset.bindings) {
      const field = model.config?.fields.get(binding.name.text)
      if (!field) {
        noField(report, model.config, binding.name)
        continue
      }
      const value = report.once(binding.span, () => evaluate(binding.value, configFrame(home, model.declared.module)))
      if (!isCompileType(field.type)) continue
      const fits = value.kind === 'unknown' || (value.kind === 'none' ? field.type.optional : fit(field.type, value) !== undefined)
      if (!fits)
        report.add(
          'L402',
          `\`${field.name}\` is \`${showType(field.type)}\`, not ${describe(value)}`,
          [{ span: binding.value.span }, { span: field.span, text: 'declared here' }],
          { help: whatFits(field.type) },
        )
    }
  }
}

/** The model's root with its config's values; undefined after a message. */
export function rootInstance(model: FlatBlock, home: Home, module: Module): Instance | undefined {
  return instantiate(model, [], configFrame(home, module), home, [], model.declared.tree.name.span, 0)
}
