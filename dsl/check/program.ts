// The generic check: every op, config, block and model of the loaded modules is walked once with unknown numbers. A model's
// blocks are walked again with its replacements and its config, since what they call may be something else there.

import { genericHome } from '../config.ts'
import type { FlatBlock, FlatEntry, FlatFn, FlatMember } from '../resolve/blocks.ts'
import { flattenConfig } from '../resolve/configs.ts'
import type { Declared, Module } from '../resolve/modules.ts'
import { replacementsOf } from '../resolve/replacements.ts'
import { callableOf, matchResult } from './calls.ts'
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
import { didYouMean, type Report } from './report.ts'
import { runBody } from './statements.ts'
import { describe, type Value } from './values.ts'

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
  bindStandIns(frame, tree.params)
  for (const require of tree.requires) {
    truth(require.condition, frame)
    collectFacts(require.condition, frame, frame.facts)
  }
  checkResult({ name: tree.name.text, result: tree.result, span: tree.name.span }, runBody(tree.body, frame), frame)
}

function checkResult(callable: Parameters<typeof matchResult>[1], value: Value, frame: Frame): void {
  const { result } = callable
  if (!result) {
    if (value.kind !== 'nothing' && value.kind !== 'unknown') {
      frame.walk.report.add('L313', `\`${callable.name}\` promises no result but returns ${describe(value)}`, [{ span: callable.span }], {
        help: 'write  -> type',
      })
    }
    return
  }
  const axes = axesOf(frame, result.axes ?? [])
  if (axes) matchResult(frame, callable, { elem: elementOf(frame, result), axes }, value)
}

function checkConfig(declared: Declared, flat: (d: Declared) => FlatBlock | undefined, report: Report): void {
  const config = flattenConfig(declared, report)
  if (!config) return
  const home = genericHome(config, flat, [], report)
  for (const field of config.fields.values()) {
    if (!field.default) continue
    const value = evaluate(field.default, configFrame(home, field.module))
    if (value.kind === 'unknown' || (value.kind === 'none' && field.type.optional)) continue
    if (value.kind === 'none' || !fit(field.type, value)) {
      report.add('L402', `\`${field.name}\` is \`${field.type.name.text}\`, not ${describe(value)}`, [
        { span: field.default.span },
        { span: field.span },
      ])
    }
  }
  for (const { tree, module } of config.requires) truth(tree.condition, configFrame(home, module))
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
    if (member.kind === 'weight' || member.kind === 'state') checkStorage(instance, member, home)
    else if (member.kind === 'fn' || member.kind === 'entry') checkFunction(instance, member, home)
  }
  for (const { tree, module } of instance.block.requires) truth(tree.condition, instanceFrame(instance, '', module, home.walk))
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
  const forwards = choices.map((choice) => {
    const declared = member.module.names.get(choice.block.text)
    const block = declared && home.flat(declared)
    const forward = block?.members.get('forward')
    return { choice, text: forward?.kind === 'fn' ? signatureText(forward) : undefined }
  })
  const [first, ...rest] = forwards
  const odd = first && rest.find((other) => other.text !== first.text)
  if (!first || !odd || first.text === undefined || odd.text === undefined) return
  home.walk.report.add('L417', `the two blocks of \`${member.name}\` have different \`forward\`s`, [
    { span: first.choice.span, text: first.text },
    { span: odd.choice.span, text: odd.text },
  ])
}

const spanText = (span: { source: { text: string }; start: number; end: number }): string =>
  span.source.text.slice(span.start, span.end).replace(/\s+/g, ' ')

const signatureText = (fn: FlatFn): string =>
  `(${fn.tree.params.map((p) => spanText(p.type.span)).join(', ')}) -> ${fn.tree.result ? spanText(fn.tree.result.span) : 'nothing'}`

function checkStorage(instance: Instance, member: Extract<FlatMember, { kind: 'weight' | 'state' }>, home: Home): void {
  const frame = instanceFrame(instance, '', member.module, home.walk)
  if (member.tree.when) truth(member.tree.when, frame)
  const { axes } = storageType(frame, member)
  if (member.kind !== 'weight' || !member.tree.tied) return
  const { text, span } = member.tree.tied
  const other = instance.block.members.get(text)
  if (other?.kind !== 'weight') {
    const help = didYouMean(
      text,
      [...instance.block.members].filter(([, m]) => m.kind === 'weight').map(([n]) => n),
    )
    home.walk.report.add('L201', `there is no weight \`${text}\` to tie to`, [{ span }], help ? { help } : {})
    return
  }
  const target = storageType(frame, other).axes
  if (axes && target && !sameAxes(axes, target)) {
    home.walk.report.add('L418', `\`${member.name}\` and \`${text}\` differ in their axes, so they cannot be tied`, [
      { span: member.tree.name.span },
      { span: other.tree.name.span, text: 'declared here' },
    ])
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
  const frame: Frame = member.inherited ? { ...base, inherited: member.inherited } : base
  for (const { tree, module } of instance.block.requires)
    collectFacts(tree.condition, instanceFrame(instance, '', module, home.walk), frame.facts)
  bindStandIns(frame, callable.params)
  checkResult(callable, runBody(callable.body, frame), frame)
}

function checkSpecialised(instance: Instance, entry: FlatEntry, home: Home): void {
  const { definition } = entry.tree
  if (definition.kind !== 'specialise') return
  const of = instance.block.members.get(definition.of.text)
  if (of?.kind !== 'entry') {
    const entries = [...instance.block.members].filter(([, m]) => m.kind === 'entry').map(([n]) => n)
    const help = didYouMean(definition.of.text, entries)
    home.walk.report.add('L201', `there is no entry \`${definition.of.text}\``, [{ span: definition.of.span }], help ? { help } : {})
  }
}

function checkModelTexts(model: FlatBlock, home: Home, report: Report): void {
  for (const preset of model.presets.values()) {
    for (const binding of preset.bindings) {
      const field = model.config?.fields.get(binding.name.text)
      if (!field) {
        const help = didYouMean(binding.name.text, model.config?.fields.keys() ?? [])
        report.add(
          'L201',
          `${model.config?.name ?? 'the model'} has no field \`${binding.name.text}\``,
          [{ span: binding.name.span }],
          help ? { help } : {},
        )
        continue
      }
      const value = evaluate(binding.value, configFrame(home, model.declared.module))
      const fits = value.kind === 'unknown' || (value.kind === 'none' ? field.type.optional : fit(field.type, value) !== undefined)
      if (!fits)
        report.add('L402', `\`${field.name}\` is \`${field.type.name.text}\`, not ${describe(value)}`, [
          { span: binding.span },
          { span: field.span, text: 'declared here' },
        ])
    }
  }
}

/** The model's root with its config's values; undefined after a message. */
export function rootInstance(model: FlatBlock, home: Home, module: Module): Instance | undefined {
  return instantiate(model, [], configFrame(home, module), home, [], model.declared.tree.name.span, 0)
}
