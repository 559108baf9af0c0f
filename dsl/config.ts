// A config's numbers. Each field is the first of: --set, the checkpoint's config (dotted keys with alternatives), what the file's
// tensors say (`tie`), the preset, its default. Defaults may use other fields; they are evaluated on demand, in f64 and exact
// integers, and a circle is reported with its members.

import type { Expr, Preset, TypeExpr } from './ast.ts'
import { evaluate } from './check/expressions.ts'
import type { Walk } from './check/frames.ts'
import { checkRequire, configFrame, type Home, type Replacement } from './check/instances.ts'
import { fit, standIn } from './check/parameters.ts'
import { didYouMean, type Place, Report } from './check/report.ts'
import { describe, none, unknown, type Value } from './check/values.ts'
import type { ConfigValue, Numbers } from './model.ts'
import type { FlatBlock } from './resolve/blocks.ts'
import { type FlatConfig, type FlatField, noField } from './resolve/configs.ts'
import type { Declared, Module } from './resolve/modules.ts'
import { known, type Size, substitute, whole } from './sizes.ts'
import type { Span } from './source.ts'

type Flat = (declared: Declared) => FlatBlock | undefined

/** A walk without a listener: the generic check, and all evaluation of compile-time values. */
export const silentWalk = (report: Report): Walk => ({ report, real: 'f32', bounds: new Map(), limits: new Map() })

/** The config with every field unknown: what a generic check works with. */
export function genericHome(config: FlatConfig | undefined, flat: Flat, replacements: readonly Replacement[], report: Report): Home {
  const values = new Map<string, Value>()
  const value = (field: string): Value => {
    const type = config?.fields.get(field)?.type
    const made = values.get(field) ?? (type ? standIn(type, field) : unknown)
    values.set(field, made)
    return made
  }
  let defaults: ReadonlyMap<string, Size> | undefined
  const usual = (size: Size): number | undefined => {
    defaults ??= defaultSizes(config, flat)
    return known(substitute(size, defaults))
  }
  return { walk: silentWalk(report), flat, ...(config ? { config } : {}), value, usual, replacements }
}

/** The fields that have a whole number by default. */
function defaultSizes(config: FlatConfig | undefined, flat: Flat): Map<string, Size> {
  const home = numberedHome(config, { numbers: {}, tied: new Map() }, flat, [], new Report())
  const sizes = new Map<string, Size>()
  for (const [name, field] of config?.fields ?? []) {
    const read = field.type.axes ? unknown : home.value(name)
    if (read.kind === 'size') sizes.set(name, read.size)
  }
  return sizes
}

export interface ConfigSources {
  readonly numbers: Numbers
  readonly preset?: { readonly tree: Preset; readonly module: Module }
  /** For a bool that says whether a weight is tied: the weight's path. */
  readonly tied: ReadonlyMap<string, string>
}

/** The config with numbers. Mistakes are reported as fields are asked for; `readAll` asks for every one and checks requirements. */
export function numberedHome(
  config: FlatConfig | undefined,
  sources: ConfigSources,
  flat: Flat,
  replacements: readonly Replacement[],
  report: Report,
): Home & { readAll(): Record<string, ConfigValue> } {
  const values = new Map<string, Value>()
  const open: string[] = []
  const origins = new Map<string, { readonly span: Span; readonly text?: string }>()
  const walk = silentWalk(report)
  const value = (name: string): Value => {
    const done = values.get(name)
    if (done) return done
    const field = config?.fields.get(name)
    if (!field) return unknown
    if (open.includes(name)) {
      const circle = [...open.slice(open.indexOf(name)), name].join(' → ')
      report.add('L403', `the value of \`${name}\` depends on itself: ${circle}`, [{ span: field.span }])
      return unknown
    }
    open.push(name)
    const found = fieldValue(field)
    open.pop()
    values.set(name, found)
    return found
  }
  const home = { walk, flat, ...(config ? { config } : {}), value, replacements }
  const fieldValue = (field: FlatField): Value => {
    const given = givenValue(field, sources, report)
    if (given) return given
    const binding = sources.preset?.tree.bindings.find((b) => b.name.text === field.name)
    const text =
      binding && sources.preset
        ? { expr: binding.value, module: sources.preset.module }
        : field.default
          ? { expr: field.default, module: field.module }
          : undefined
    if (!text) {
      if (field.type.optional) return none
      report.add('L405', `\`${field.name}\` has no value`, [{ span: field.span }], {
        help: `give it by a preset, --config or --set ${field.name}=…`,
      })
      return unknown
    }
    origins.set(field.name, binding ? { span: binding.span, text: `in preset "${sources.preset?.tree.name}"` } : { span: text.expr.span })
    const raw = report.because(
      () => originsIn(text.expr),
      () => evaluate(text.expr, configFrame(home, text.module)),
    )
    if (raw.kind === 'unknown') return unknown
    if (raw.kind === 'none') {
      if (field.type.optional) return none
      report.add('L402', `\`${field.name}\` cannot be none`, [{ span: text.expr.span }, { span: field.span, text: 'declared here' }])
      return unknown
    }
    const fitted = fit(field.type, raw)
    if (!fitted)
      report.add(
        'L402',
        `\`${field.name}\` is \`${showType(field.type)}\`, not ${describe(raw)}`,
        [{ span: text.expr.span }, { span: field.span, text: 'declared here' }],
        { help: whatFits(field.type) },
      )
    return fitted ? checkedLength(field, fitted) : unknown
  }
  const checkedLength = (field: FlatField, list: Value): Value => {
    const axis = field.type.axes?.[0]
    if (list.kind !== 'list' || axis?.kind !== 'axis' || !list.items) return list
    const length = evaluate(axis.size, configFrame(home, field.module))
    const wanted = length.kind === 'size' ? known(length.size) : undefined
    if (wanted !== undefined && wanted !== list.items.length) {
      report.add('L402', `\`${field.name}\` has ${list.items.length} elements, not ${wanted}`, [{ span: field.span }])
      return unknown
    }
    return list
  }
  const readAll = (): Record<string, ConfigValue> => {
    const all: Record<string, ConfigValue> = {}
    checkNames(config, sources, report)
    for (const name of config?.fields.keys() ?? []) {
      const field = config?.fields.get(name) as FlatField
      const read = value(name)
      all[name] = plain(read.kind === 'list' ? checkedLength(field, read) : read)
    }
    // A field that has no value, or a wrong one, would fail its requirements too.
    if (report.hasErrors) return all
    for (const { tree, module } of config?.requires ?? [])
      report.because(
        () => originsIn(tree.condition),
        () => checkRequire(tree, configFrame(home, module)),
      )
    return all
  }
  /** Where the values of the fields in an expression were written, those it is written with included. */
  const originsIn = (expr: Expr): Place[] =>
    [...namesIn(expr)].flatMap((name) => {
      const origin = origins.get(name)
      const read = values.get(name)
      const number = read?.kind === 'size' ? known(read.size) : undefined
      return origin && number !== undefined
        ? [{ span: origin.span, text: `${name} = ${number}${origin.text ? ` ${origin.text}` : ''}`, blame: true }]
        : []
    })
  return { ...home, readAll }
}

/** Every name in an expression. */
export function* namesIn(part: unknown): Generator<string> {
  if (typeof part !== 'object' || part === null) return
  const { kind, name } = part as { kind?: string; name?: unknown }
  if (kind === 'name' && typeof name === 'string') yield name
  for (const [key, inner] of Object.entries(part)) if (key !== 'span') yield* namesIn(inner)
}

function checkNames(config: FlatConfig | undefined, sources: ConfigSources, report: Report): void {
  const names = [...(config?.fields.keys() ?? [])]
  for (const binding of sources.preset?.tree.bindings ?? []) {
    if (names.includes(binding.name.text)) continue
    noField(report, config, binding.name)
  }
  for (const name of Object.keys(sources.numbers.set ?? {})) {
    if (names.includes(name)) continue
    report.add(
      'L406',
      `--set ${name}: ${config?.name ?? 'the model'} has no such field`,
      config ? [{ span: config.declared.tree.name.span }] : [],
      { help: didYouMean(name, names) ?? `it has ${names.join(', ')}` },
    )
  }
}

/** What --set or the checkpoint's config says; undefined if neither does. */
function givenValue(field: FlatField, sources: ConfigSources, report: Report): Value | undefined {
  const { set, config, hasTensorFor } = sources.numbers
  const text = set?.[field.name]
  if (text !== undefined)
    return typed(field, typeof text === 'string' ? parseSet(field.type, text) : text, `--set ${field.name}=${text}`, report)
  if (config) {
    for (const key of keysOf(field, config)) {
      const raw = readKey(config.values, key)
      if (raw === undefined) continue
      if (raw === null) {
        if (field.type.optional) return none
        continue
      }
      return typed(
        field,
        raw,
        `${config.file} says ${key} = ${JSON.stringify(raw, (_, v) => (typeof v === 'bigint' ? Number(v) : v))}`,
        report,
      )
    }
  }
  const path = sources.tied.get(field.name)
  if (path !== undefined && hasTensorFor) return { kind: 'bool', value: !hasTensorFor(path) }
  return undefined
}

/** The keys of the checkpoint's config that this field reads, in order. */
export function keysOf(field: FlatField, config: NonNullable<Numbers['config']>): string[] {
  if (config.kind === 'fields') return [field.name]
  const arch = String(config.values['general.architecture'] ?? '')
  return annotatedKeys(field, config.kind).map((key) => key.replaceAll('{arch}', arch))
}

export function annotatedKeys(field: FlatField, kind: string): string[] {
  const args = field.annotations.get(kind)?.args ?? []
  return args.flatMap((arg) => (arg.kind === 'positional' && arg.value.kind === 'string' ? [arg.value.value] : []))
}

/** A dotted key: literally, or step by step. `x.length` of a list is its length. */
export function readKey(values: Readonly<Record<string, unknown>>, key: string): unknown {
  if (Object.hasOwn(values, key)) return values[key]
  let at: unknown = values
  const steps = key.split('.')
  for (const [i, step] of steps.entries()) {
    if (Array.isArray(at) && step === 'length' && i === steps.length - 1) return at.length
    if (typeof at !== 'object' || at === null || Array.isArray(at) || !Object.hasOwn(at, step)) {
      at = undefined
      break
    }
    at = (at as Record<string, unknown>)[step]
  }
  if (at === undefined && key.endsWith('.length')) {
    const list = values[key.slice(0, -'.length'.length)]
    if (Array.isArray(list) || ArrayBuffer.isView(list)) return (list as unknown as { length: number }).length
  }
  return at
}

function parseSet(type: TypeExpr, text: string): unknown {
  if (text === 'none' || text === 'null') return null
  if (type.axes) {
    const { axes: _, ...element } = type
    try {
      return JSON.parse(text.startsWith('[') ? text : '')
    } catch {
      return text.split(',').map((item) => parseSet(element, item.trim()))
    }
  }
  if (type.name.text === 'text') return text
  if (text === 'true' || text === 'false') return text === 'true'
  const number = Number(text)
  return text.trim() === '' || Number.isNaN(number) ? text : number
}

function typed(field: FlatField, raw: unknown, said: string, report: Report): Value {
  const value = raw === null ? (field.type.optional ? none : undefined) : fromPlain(field.type, raw)
  if (value) return value
  report.add('L402', `${said}, but \`${field.name}\` is \`${showType(field.type)}\``, [{ span: field.span, text: 'declared here' }])
  return unknown
}

/** A JSON or GGUF value as a value of the type; undefined if it does not fit. */
function fromPlain(type: TypeExpr, raw: unknown): Value | undefined {
  const list = Array.isArray(raw)
    ? raw
    : ArrayBuffer.isView(raw) && !(raw instanceof DataView)
      ? [...(raw as unknown as Iterable<unknown>)]
      : undefined
  if (type.axes) {
    const { axes: _, ...element } = type
    const items = list?.map((item) => fromPlain(element, item))
    return items && !items.includes(undefined) ? { kind: 'list', items: items as Value[] } : undefined
  }
  // GGUF writes per-layer lists where all layers agree. One list deep: a flag may be nested without end.
  if (list)
    return list.length > 0 && typeof list[0] !== 'object' && list.every((item) => item === list[0]) ? fromPlain(type, list[0]) : undefined
  if (typeof raw === 'boolean') return fit(type, { kind: 'bool', value: raw })
  if (typeof raw === 'string') return fit(type, { kind: 'text', value: raw })
  if (typeof raw !== 'number' && typeof raw !== 'bigint') return undefined
  const number = Number(raw)
  return fit(type, Number.isSafeInteger(number) ? { kind: 'size', size: whole(number) } : { kind: 'float', value: number })
}

const fitting: Readonly<Record<string, string>> = {
  dim: 'a dim is a whole number from 0',
  int: 'an int is a whole number',
  float: 'a float is a number',
  bool: 'a bool is  true  or  false',
  text: 'a text stands in quotes',
}

/** What a value of the type looks like. */
export const whatFits = (type: TypeExpr): string =>
  type.axes ? 'a list is written  [1, 2]  or  each(i < n, …)' : (fitting[type.name.text] ?? '')

export const showType = (type: TypeExpr): string => type.span.source.text.slice(type.span.start, type.span.end)

/** A compile-time value as plain data. */
export function plain(value: Value): ConfigValue {
  switch (value.kind) {
    case 'size':
      return known(value.size) ?? null
    case 'float':
    case 'bool':
    case 'text':
      return value.value ?? null
    case 'list':
      return value.items?.map(plain) ?? null
    default:
      return null
  }
}
