// One entry of a specialised model. Its free sizes and `index` arguments become symbols; a silent walk collects the limits that
// calls must keep and the results; the limits bound the symbols; `elaborateEntry` walks again and tells a listener everything.

import { type Affine, constant, range } from './affine.ts'
import { callableOf, matchResult } from './check/calls.ts'
import { evaluate } from './check/expressions.ts'
import { affineOf, dimsOf, dtypeOf, type Frame, type Limit, type Walk } from './check/frames.ts'
import { configFrame, type Instance, instanceFrame } from './check/instances.ts'
import { axesOf, elementOf } from './check/lookup.ts'
import { isTensorType, newSize } from './check/parameters.ts'
import type { Report } from './check/report.ts'
import { runBody } from './check/statements.ts'
import { type Axis, showLabel, type Value } from './check/values.ts'
import type { Diagnostic } from './diagnostics.ts'
import type { EntryInfo, EntrySymbol } from './model.ts'
import type { FlatEntry } from './resolve/blocks.ts'
import type { Dtype, Sink } from './sink.ts'
import { atom, known, type Size } from './sizes.ts'
import type { Span } from './source.ts'

export interface Context {
  readonly root: Instance
  readonly real: Dtype
  readonly maximum: Readonly<Record<string, number>>
  readonly report: Report
}

export interface Described {
  readonly info: EntryInfo
  readonly body: FlatEntry
  /** Symbols given a value by `with`. */
  readonly fixed: ReadonlyMap<string, Fixed>
}

interface Fixed {
  readonly size: Size
  readonly span: Span
}

interface Open {
  readonly name: string
  readonly kind: 'size' | 'index'
}

/** What a listener is when nobody listens: bodies still run, so that they are checked. */
export const silentSink: Sink<unknown> = {
  type: () => ({ dtype: 'f32', dims: [] }),
  literal: nil,
  size: nil,
  iota: nil,
  unary: nil,
  binary: nil,
  where: nil,
  cast: nil,
  broadcast: nil,
  reduce: nil,
  dot: nil,
  split: nil,
  merge: nil,
  transpose: nil,
  slice: nil,
  pick: nil,
  concat: nil,
  pad: nil,
  gather: nil,
  argument: nil,
  weight: nil,
  readState: nil,
  topk: () => ({ values: undefined, indices: undefined }),
  storeState: nil,
  scatterState: nil,
  composite: (_name, _attributes, operands, body) => body(operands),
  loop: (spec) => {
    let carried = spec.carried
    for (let group = 0; group < spec.groups; group++) carried = spec.body(group, carried)
    return carried
  },
}

function nil(): undefined {}

/** Symbols, limits and results of an entry; undefined after a message. */
export function describeEntry(entry: FlatEntry, context: Context): Described | undefined {
  const resolved = resolve(entry, context)
  if (!resolved) return undefined
  const { body, fixed } = resolved
  const open = openSymbols(body, fixed, context)
  const ranges = declaredRanges(open, context)
  const bounds = new Map(open.map(({ name }) => [name, ranges.get(name) as { min: number; max: number }]))
  const walk: Walk = { report: context.report, sink: silentSink, real: context.real, bounds, limits: new Map() }
  const walked = walkEntry(body, fixed, context, walk)
  if (!walked || context.report.hasErrors) return undefined
  const limits = [...walk.limits.values()]
  const symbols = boundSymbols(open, bounds, limits, context, entry)
  const info: EntryInfo = {
    name: entry.name,
    ...(entry.tree.doc === undefined ? {} : { doc: entry.tree.doc }),
    arguments: walked.arguments,
    symbols,
    limits,
    results: walked.results.map(({ type, labels }) => ({ type, labels })),
  }
  return { info, body, fixed }
}

/** Walks a described entry and tells `sink` every primitive. */
export function elaborateEntry<V>(
  entry: Described,
  context: Context,
  sink: Sink<V>,
): { results: readonly V[]; diagnostics: readonly Diagnostic[] } {
  const bounds = new Map(entry.info.symbols.map(({ name, min, max }) => [name, { min, max }]))
  const walk: Walk = { report: context.report, sink: sink as Sink<unknown>, real: context.real, bounds, limits: new Map() }
  const walked = walkEntry(entry.body, entry.fixed, context, walk)
  return { results: (walked?.results.map((r) => r.node) ?? []) as V[], diagnostics: context.report.diagnostics }
}

// `decode = prefill with seq = 1` follows an overridden prefill: the name is looked up in the leaf model.
function resolve(entry: FlatEntry, context: Context): { body: FlatEntry; fixed: Map<string, Fixed> } | undefined {
  const fixed = new Map<string, Fixed>()
  let body = entry
  for (let step = 0; step < 10; step++) {
    const { definition } = body.tree
    if (definition.kind === 'body') return { body, fixed }
    for (const binding of definition.bindings) {
      const value = evaluate(binding.value, configFrame(context.root.home, body.module))
      if (value.kind === 'size') fixed.set(binding.name.text, { size: value.size, span: binding.name.span })
      else if (value.kind !== 'unknown') context.report.add('L206', 'a whole number is wanted here', [{ span: binding.span }])
    }
    const next = context.root.block.members.get(definition.of.text)
    if (next?.kind !== 'entry') return undefined
    body = next
  }
  context.report.add('L203', `\`${entry.name}\` is made from itself`, [{ span: entry.tree.name.span }])
  return undefined
}

function entryFrame(body: FlatEntry, context: Context, walk: Walk): Frame {
  const base = instanceFrame(context.root, '', body.module, walk)
  return body.inherited ? { ...base, inherited: body.inherited } : base
}

function openSymbols(body: FlatEntry, fixed: ReadonlyMap<string, Fixed>, context: Context): Open[] {
  const callable = callableOf(body)
  const frame = entryFrame(body, context, context.root.home.walk)
  const open = new Map<string, Open>()
  for (const param of callable?.params ?? []) {
    if (param.type.name.text === 'index') open.set(param.name.text, { name: param.name.text, kind: 'index' })
    for (const axis of isTensorType(param.type) ? (param.type.axes ?? []) : []) {
      const name = axis.kind === 'axis' ? newSize(frame, axis) : undefined
      if (name !== undefined && !open.has(name)) open.set(name, { name, kind: 'size' })
    }
  }
  for (const [name, { span }] of fixed) {
    const all = new Map([...open.keys()].map((symbol) => [symbol, undefined]))
    if (!open.delete(name))
      context.report.unknown(
        `\`${body.name}\` has no free size or index \`${name}\``,
        name,
        span,
        all,
        `it has ${[...all.keys()].join(', ')}`,
      )
  }
  return [...open.values()]
}

// `runtime seq: 1 ..= 512`, else 1 and up for sizes, 0 and up for indices; `--max-seq` lowers the top.
function declaredRanges(open: readonly Open[], context: Context): Map<string, { min: number; max: number }> {
  const { block, home } = context.root
  const ranges = new Map<string, { min: number; max: number }>()
  for (const { name, kind } of open) {
    const declared = block.ranges.get(name)
    const [from, to] = declared
      ? [declared.tree.from, declared.tree.to].map((e) => numberOf(evaluate(e, configFrame(home, declared.module))))
      : []
    const most = Math.min(to ?? Infinity, context.maximum[name] ?? Infinity)
    ranges.set(name, { min: from ?? (kind === 'size' ? 1 : 0), max: most })
  }
  return ranges
}

const numberOf = (value: Value): number | undefined => (value.kind === 'size' ? known(value.size) : undefined)

/** Where nothing bounds a size or an index; a warning tells how to. */
const unboundedSize = 4096
const unboundedIndex = 2 ** 30

function boundSymbols(
  open: readonly Open[],
  bounds: ReadonlyMap<string, { min: number; max: number }>,
  limits: readonly Limit[],
  context: Context,
  entry: FlatEntry,
): EntrySymbol[] {
  return open.map(({ name, kind }) => {
    const own = bounds.get(name) as { min: number; max: number }
    let { max } = own
    for (const { left, right } of limits) {
      const factor = left.terms.find(([s]) => s === name)?.[1] ?? 0
      if (factor <= 0) continue
      const others: Affine = { const: left.const, terms: left.terms.filter(([s]) => s !== name) }
      const least = range(others, bounds).min
      if (Number.isFinite(least)) max = Math.min(max, Math.floor((right - least) / factor))
    }
    if (max === Infinity) {
      max = kind === 'size' ? unboundedSize : unboundedIndex
      context.report.add('L250', `nothing bounds \`${name}\` in \`${entry.name}\`; ${max} is taken`, [{ span: entry.tree.name.span }], {
        about: name,
        help: `write  runtime ${name}: ${own.min} ..= …  in the model`,
      })
    }
    if (max < own.min) {
      const declared = context.root.block.ranges.get(name)
      const entryPlace = { span: entry.tree.name.span }
      const places = declared ? [{ span: declared.tree.span }, { ...entryPlace, text: 'of this entry' }] : [entryPlace]
      const message = `\`${entry.name}\` can never run: \`${name}\` must be at least ${own.min} and at most ${max}`
      context.report.add('L236', message, places, { cause: `range ${name}` })
    }
    return { name, kind, min: own.min, max }
  })
}

interface Walked {
  readonly arguments: EntryInfo['arguments']
  readonly results: readonly {
    readonly type: EntryInfo['results'][number]['type']
    readonly labels: readonly string[]
    readonly node: unknown
  }[]
}

function walkEntry(body: FlatEntry, fixed: ReadonlyMap<string, Fixed>, context: Context, walk: Walk): Walked | undefined {
  const callable = callableOf(body)
  if (!callable) return undefined
  const { report } = walk
  const frame = entryFrame(body, context, walk)
  for (const param of callable.params) {
    for (const axis of isTensorType(param.type) ? (param.type.axes ?? []) : []) {
      if (axis.kind === 'row') {
        report.add('L237', 'an entry cannot have a row of axes', [{ span: axis.span }])
        return undefined
      }
      const name = newSize(frame, axis)
      if (name !== undefined) frame.locals.set(name, { kind: 'size', size: fixed.get(name)?.size ?? atom(name) })
    }
  }
  const args: EntryInfo['arguments'][number][] = []
  for (const param of callable.params) {
    const name = param.name.text
    if (param.type.name.text === 'index') {
      frame.locals.set(name, { kind: 'size', size: fixed.get(name)?.size ?? atom(name) })
      if (!fixed.has(name)) args.push({ kind: 'index', name })
      continue
    }
    if (!isTensorType(param.type) || param.type.optional) {
      report.add('L237', `an entry takes tensors and \`index\` numbers; \`${name}\` is neither`, [{ span: param.span }], {
        help: `a number of the call is a tensor without axes: ${name}: f32[]`,
      })
      return undefined
    }
    const elem = elementOf(frame, param.type)
    if (!elem) return undefined
    const axes = axesOf(frame, param.type.axes ?? [])
    const dims = axes && dimsOf(frame, axes, param.span)
    if (!axes || !dims) return undefined
    const type = { dtype: dtypeOf(frame, elem), dims }
    const node = walk.sink?.argument(name, type, param.span)
    frame.locals.set(name, { kind: 'tensor', elem, axes, node, span: param.name.span, origin: { name, span: param.span } })
    args.push({ kind: 'tensor', name, type, labels: labels(axes) })
  }
  // The promise is read before the body, whose variables it does not mean.
  const axes = callable.result && axesOf(frame, callable.result.axes ?? [])
  const elem = callable.result && elementOf(frame, callable.result)
  const value = runBody(callable.body, frame)
  if (!callable.result) return { arguments: args, results: [] }
  if (!axes || !elem) return undefined
  const result = matchResult(frame, callable, { elem, axes }, value)
  if (result.kind !== 'tensor') return undefined
  const dims = result.axes.map((axis) => affineOf(frame, axis.size, callable.span) ?? constant(0))
  const type = { dtype: dtypeOf(frame, result.elem), dims }
  return { arguments: args, results: [{ type, labels: labels(result.axes), node: result.node }] }
}

const labels = (axes: readonly Axis[]): string[] => axes.map((axis) => showLabel(axis.label))
