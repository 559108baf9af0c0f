// Blocks with their arguments: one `Instance` per part, made on demand, and the replacements that decide which block or op a
// name in a body really means. The same instances serve the generic check (arguments are atoms, one stand-in per part array)
// and the specialised walk (arguments are numbers).

import type { Arg, Expr, Make, Name } from '../ast.ts'
import { beyond, limits } from '../limits.ts'
import { parse } from '../parse.ts'
import type { FlatBlock, FlatMember } from '../resolve/blocks.ts'
import type { FlatConfig } from '../resolve/configs.ts'
import type { Declared, Module } from '../resolve/modules.ts'
import { atom, known, showSize, whole } from '../sizes.ts'
import type { Span } from '../source.ts'
import { evaluate, truth } from './expressions.ts'
import type { Frame, Walk } from './frames.ts'
import { coerceParameter } from './parameters.ts'
import { didYouMean, Report } from './report.ts'
import { type Value, none, unknown } from './values.ts'

export interface Replacement {
  readonly what: Declared
  readonly by: Declared
  readonly args: readonly { readonly name: Name; readonly value: Expr }[]
  readonly in?: Declared
  readonly module: Module
  readonly span: Span
}

/** What a model (or a block checked alone) gives everything inside it. */
export interface Home {
  readonly walk: Walk
  /** The flattened form of a block declaration, made once. */
  readonly flat: (declared: Declared) => FlatBlock | undefined
  readonly config?: FlatConfig
  /** A block checked alone: its parts may use configs that extend its own. */
  readonly alone?: boolean
  /** A field's value: an atom in a generic check, a number afterwards. */
  readonly value: (field: string) => Value
  readonly replacements: readonly Replacement[]
}

export interface Instance {
  readonly block: FlatBlock
  readonly params: ReadonlyMap<string, Value>
  readonly home: Home
  readonly slots: Map<string, Slot | undefined>
  readonly depth: number
}

/** What stands under a part's name. */
export type Slot =
  | { readonly kind: 'one'; readonly instance: Instance }
  /** `known` is false in a generic check, where one stand-in represents all. */
  | { readonly kind: 'many'; readonly instances: readonly Instance[]; readonly known: boolean }

/** What `declared` means in the body of `context` once the model's replacements have run, root to leaf, each once. */
export function replaced(
  home: Home | undefined,
  declared: Declared,
  context: FlatBlock | undefined,
): { declared: Declared; bound: Replacement[] } {
  let current = declared
  const bound: Replacement[] = []
  if (!home || !context) return { declared, bound }
  for (const item of home.replacements) {
    if (item.what !== current) continue
    if (item.in && !context.chain.includes(item.in)) continue
    if (context.chain.includes(item.by)) continue
    if (item.by !== current) bound.length = 0
    current = item.by
    bound.push(item)
  }
  return { declared: current, bound }
}

/** The scope of a block's own texts, before any function's parameters. */
export function instanceFrame(instance: Instance, path: string, module: Module, walk: Walk): Frame {
  const { block, home } = instance
  const config = block.config
  return {
    walk,
    module,
    home,
    block,
    locals: new Map(),
    rows: new Map(),
    assumed: [],
    facts: configFacts(home),
    self: { instance, path },
    ...(config ? { config } : {}),
  }
}

/** The scope of a model-level expression that sees the config alone (bound values of replacements, checkpoint rules). */
export function configFrame(home: Home, module: Module): Frame {
  const config = home.config
  return { walk: home.walk, module, home, locals: new Map(), rows: new Map(), assumed: [], facts: [], ...(config ? { config } : {}) }
}

const factsOfHome = new WeakMap<Home, Frame['facts']>()

// `require heads % kv_heads == 0` in a config is known wherever the config is.
function configFacts(home: Home): Frame['facts'] {
  const old = factsOfHome.get(home)
  if (old) return [...old]
  const facts: Frame['facts'] = []
  factsOfHome.set(home, facts)
  for (const { tree, module } of home.config?.requires ?? []) collectFacts(tree.condition, configFrame(home, module), facts)
  return [...facts]
}

/** Adds what `a % b == 0 and …` says about divisibility. */
export function collectFacts(condition: Expr, frame: Frame, into: Frame['facts']): void {
  if (condition.kind !== 'binary') return
  if (condition.op === 'and') {
    collectFacts(condition.left, frame, into)
    collectFacts(condition.right, frame, into)
  }
  const { left, right } = condition
  if (condition.op !== '==' || left.kind !== 'binary' || left.op !== '%' || right.kind !== 'number' || right.value !== 0) return
  const of = evaluate(left.left, frame)
  const by = evaluate(left.right, frame)
  if (of.kind === 'size' && by.kind === 'size') into.push({ of: of.size, by: by.size })
}

/** The part called `name`: made on first use. undefined when its `when` is false or its make is wrong (reported). */
export function slotOf(instance: Instance, name: string): Slot | undefined {
  if (instance.slots.has(name)) return instance.slots.get(name)
  const member = instance.block.members.get(name)
  instance.slots.set(name, undefined)
  const slot = member?.kind === 'part' ? makeSlot(instance, member) : undefined
  instance.slots.set(name, slot)
  return slot
}

function makeSlot(instance: Instance, member: Extract<FlatMember, { kind: 'part' }>): Slot | undefined {
  const { tree } = member
  const { walk } = instance.home
  const frame = instanceFrame(instance, '', member.module, walk)
  if (instance.depth > limits.partDepth.most) {
    walk.report.add('L203', `\`${instance.block.name}\` contains itself`, [{ span: tree.span }])
    return undefined
  }
  if (tree.when && truth(tree.when, frame) === false) return undefined
  if (!tree.range) {
    const one = make(tree.make, frame, instance)
    return one && { kind: 'one', instance: one }
  }
  const count = evaluate(tree.range.count, frame)
  if (count.kind !== 'size') {
    if (count.kind !== 'unknown') walk.report.add('L206', 'the number of parts must be a `dim`', [{ span: tree.range.count.span }])
    return undefined
  }
  const number = known(count.size)
  const index = tree.range.index.text
  if (number === undefined) {
    frame.locals.set(index, { kind: 'size', size: atom(index) })
    const one = make(tree.make, frame, instance)
    return one && { kind: 'many', instances: [one], known: false }
  }
  if (number > limits.parts.most) {
    walk.report.exceeds(beyond('parts'), tree.range.count.span)
    return undefined
  }
  const instances: Instance[] = []
  for (let i = 0; i < number; i++) {
    frame.locals.set(index, { kind: 'size', size: whole(i) })
    const one = make(tree.make, frame, instance)
    if (!one) return undefined
    instances.push(one)
  }
  return { kind: 'many', instances, known: true }
}

/** Every block a make may choose: one when the conditions are known, both sides otherwise (the first stands for them). */
export function makeChoices(tree: Make, frame: Frame): Extract<Make, { kind: 'make' }>[] {
  if (tree.kind === 'make') return [tree]
  const condition = truth(tree.condition, frame)
  return [...(condition === false ? [] : makeChoices(tree.yes, frame)), ...(condition === true ? [] : makeChoices(tree.no, frame))]
}

function make(tree: Make, frame: Frame, within: Instance): Instance | undefined {
  const choices = makeChoices(tree, frame)
  const made = choices.map((choice) => makeOne(choice, frame, within))
  return made[0]
}

function makeOne(tree: Extract<Make, { kind: 'make' }>, frame: Frame, within: Instance): Instance | undefined {
  const { report } = frame.walk
  const { text, span } = tree.block
  if (!report.use('parts', 1, span)) return undefined
  const found = frame.module.names.get(text)
  if (found?.tree.kind !== 'block') {
    const blocks = [...frame.module.names].filter(([, d]) => d.tree.kind === 'block').map(([n]) => n)
    const help = didYouMean(text, blocks)
    report.add('L201', found ? `\`${text}\` is not a block` : `there is no block called \`${text}\``, [{ span }], help ? { help } : {})
    return undefined
  }
  const { home } = within
  const { declared, bound } = replaced(home, found, within.block)
  const block = home.flat(declared)
  if (!block) return undefined
  const related =
    !block.config ||
    !home.config ||
    home.config.chain.includes(block.config.declared) ||
    (home.alone === true && block.config.chain.includes(home.config.declared))
  if (!related && block.config && home.config) {
    const message = `\`${block.name}\` uses ${block.config.name}, but here the config is ${home.config.name}, which does not extend it`
    report.add('L420', message, [{ span }, { span: block.declared.tree.name.span, text: 'declared here' }])
    return undefined
  }
  return instantiate(block, tree.args, frame, home, bound, span, within.depth + 1)
}

/** Binds a block's parameters; arguments are evaluated where the part stands, bound values over the model's config. */
export function instantiate(
  block: FlatBlock,
  args: readonly Arg[],
  caller: Frame,
  home: Home,
  bound: readonly Replacement[],
  span: Span,
  depth: number,
): Instance | undefined {
  const { report } = caller.walk
  const given = new Map<string, Value>()
  let next = 0
  for (const arg of args) {
    if (arg.kind === 'arrow') continue
    const name = arg.kind === 'positional' ? block.params[next++]?.tree.name.text : arg.kind === 'named' ? arg.name.text : arg.label.text
    const value = arg.kind === 'sized' ? arg.size : arg.value
    if (name === undefined || !block.params.some((p) => p.tree.name.text === name)) {
      const names = block.params.map((p) => p.tree.name.text)
      const help = (name && didYouMean(name, names)) ?? `\`${block.name}\` takes (${names.join(', ')})`
      report.add(
        'L321',
        name === undefined ? `\`${block.name}\` takes ${names.length} arguments` : `\`${block.name}\` has no parameter \`${name}\``,
        [{ span: arg.span }],
        { help },
      )
      continue
    }
    given.set(name, evaluate(value, caller))
  }
  for (const item of bound) {
    for (const { name, value } of item.args) {
      if (given.has(name.text) && args.length > 0) {
        report.add('L416', `\`${name.text}\` is bound by \`replace\` and passed here too`, [
          { span },
          { span: item.span, text: 'bound here' },
        ])
      }
      given.set(name.text, evaluate(value, configFrame(home, item.module)))
    }
  }
  const params = new Map<string, Value>()
  const instance: Instance = { block, params, home, slots: new Map(), depth }
  for (const { tree, module } of block.params) {
    const name = tree.name.text
    let value = given.get(name)
    if (!value) {
      if (tree.default) value = evaluate(tree.default, instanceFrame(instance, '', module, caller.walk))
      else if (tree.type.optional) value = none
      else {
        const signature = `${block.name}(${block.params.map((p) => p.tree.name.text).join(', ')})`
        report.add('L320', `argument \`${name}\` is missing`, [
          { span, text: signature },
          { span: tree.span, text: 'wanted here' },
        ])
        value = unknown
      }
    }
    params.set(name, coerceParameter(caller, tree, value, span))
  }
  for (const { tree, module } of block.requires) checkRequire(tree, instanceFrame(instance, '', module, caller.walk), span)
  return instance
}

/** Reports a `require` that is known to be false, with the author's text and its holes filled. */
export function checkRequire(tree: { condition: Expr; text?: string; span: Span }, frame: Frame, at?: Span): boolean {
  if (truth(tree.condition, frame) !== false) return true
  const places = [{ span: at ?? tree.span }, ...(at ? [{ span: tree.span, text: 'required here' }] : [])]
  frame.walk.report.add('L401', tree.text === undefined ? 'a requirement is not met' : fillHoles(tree.text, frame), places)
  return false
}

/** `{heads}` holes, expressions too, with their values; what has none stays as written. */
export function fillHoles(text: string, frame: Frame): string {
  return text.replace(/\{([^{}]+)\}/g, (hole, inside: string) => {
    const { tree } = parse({ path: 'hole', text: `module hole config Hole { value = ${inside} }` })
    const declaration = tree?.declarations[0]
    const expr = declaration?.kind === 'config' ? declaration.fields[0]?.default : undefined
    if (!expr) return hole
    const report = new Report()
    const value = evaluate(expr, { ...frame, walk: { ...frame.walk, report } })
    switch (value.kind) {
      case 'size':
        return showSize(value.size)
      case 'float':
      case 'bool':
      case 'text':
        return value.value === undefined ? inside : String(value.value)
      case 'none':
        return 'none'
      default:
        return hole
    }
  })
}

/** Same text for instances that run the same body: block and arguments decide everything inside. */
export function instanceKey(instance: Instance): string {
  const params = [...instance.params].map(([name, value]) => `${name}=${valueKey(value)}`)
  const { module, tree } = instance.block.declared
  return `${module.source.path}:${tree.name.text}(${params.join(',')})`
}

function valueKey(value: Value): string {
  switch (value.kind) {
    case 'size':
      return showSize(value.size)
    case 'float':
    case 'bool':
      return String(value.value)
    case 'text':
      return JSON.stringify(value.value)
    case 'list':
      return `[${value.items?.map(valueKey).join(',') ?? '?'}]`
    default:
      return value.kind
  }
}
