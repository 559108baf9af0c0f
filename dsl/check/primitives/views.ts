// Views: split, merge, rename, order, and the axes of a tensor as a list. They only re-label or re-index.

import { divide, sameSize, showSize, times, whole, type Size, known } from '../../sizes.ts'
import type { Expr } from '../../ast.ts'
import { evaluate } from '../expressions.ts'
import { dimsOf, fail, type Frame, isGeneric } from '../frames.ts'
import { duplicateLabel, lookup } from '../lookup.ts'
import { type Axis, operandPlaces, showLabel, type Tensor, unknown, type Value } from '../values.ts'
import { axisIndex, type Call, groupOf, labelOf, labelsOf, missing, onlyArguments, operand } from './arguments.ts'

/** split(x, h -> (g, n)): one of the new sizes may be left to be found. */
export function split(call: Call): Value {
  const { frame } = call
  const x = operand(call, 0)
  const arrow = call.arrows[0]
  if (!arrow) missing(call, 'an axis -> (outer, inner)')
  if (!x || !arrow || !onlyArguments(call, 1, [])) return unknown
  const label = labelOf(frame, arrow.from)
  const at = label === undefined ? undefined : axisIndex(call, x, label, arrow.from.span)
  if (at === undefined) return unknown
  const old = x.axes[at] as Axis
  const made = splitSizes(frame, old, arrow.to)
  if (!made) return unknown
  const axes = x.axes.toSpliced(at, 1, ...made)
  if (duplicateLabel(frame, axes, call.span, x)) return unknown
  const sizes = frame.walk.sink && dimsOf(frame, made, call.span)
  if (frame.walk.sink && !sizes) return unknown
  const node = sizes && frame.walk.sink?.split(x.node, at, sizes, call.span)
  return viewed(x, axes, node, call)
}

function splitSizes(frame: Frame, old: Axis, to: Expr): Axis[] | undefined {
  const trees = groupOf(to)
  let product: Size = whole(1)
  let open = -1
  const sizes: (Size | undefined)[] = []
  const labels: string[] = []
  for (const [i, tree] of trees.entries()) {
    if (tree.kind === 'row' || !tree.label) {
      frame.walk.report.add('L213', 'each new axis needs a label', [{ span: tree.span }])
      return undefined
    }
    labels.push(tree.label.text)
    const bare = tree.size.kind === 'name' && tree.size.name === tree.label.text
    const value = bare ? lookup(frame, tree.label.text, tree.span) : evaluate(tree.size, frame)
    if (value?.kind === 'unknown') return undefined
    if (value?.kind === 'size') {
      sizes.push(value.size)
      product = times(product, value.size)
    } else if (bare && open < 0) {
      open = i
      sizes.push(undefined)
    } else {
      frame.walk.report.add('L215', `the size of \`${tree.label.text}\` is not known`, [{ span: tree.span }], {
        help: `write  ${tree.label.text} = …`,
      })
      return undefined
    }
  }
  if (open >= 0) {
    const rest = evenShare(frame, old, product, to)
    if (!rest) return undefined
    sizes[open] = rest
  } else if (!sameSize(product, old.size)) {
    // (r, pair = 2) of a d that is not known to be even has the product 2·(d÷2) = d only by the fact.
    frame.walk.report.add('L231', `\`${old.label}\` has ${showSize(old.size)} places, but the new axes have ${showSize(product)}`, [
      { span: to.span },
    ])
    return undefined
  } else if (trees.length > 0) {
    const inner = sizes.find((s) => s?.terms.some((t) => t.by.den !== 1))
    const by = inner && divide(old.size, inner)?.size
    if (by && !hasFact(frame, old.size, by)) {
      uneven(frame, old, by, to)
      return undefined
    }
  }
  return labels.map((label, i) => ({ label, size: sizes[i] as Size }))
}

function evenShare(frame: Frame, old: Axis, by: Size, to: Expr): Size | undefined {
  const result = divide(old.size, by)
  if (result && (result.exact || (isGeneric(frame) && hasFact(frame, old.size, by)))) return result.size
  uneven(frame, old, by, to)
  return undefined
}

function uneven(frame: Frame, old: Axis, by: Size, to: Expr): void {
  const numbers = known(old.size) !== undefined && known(by) !== undefined
  const why = numbers ? 'the rest is not 0' : 'no fact known'
  frame.walk.report.add(
    'L231',
    `cannot split \`${old.label}\` evenly by ${showSize(by)} (${why})`,
    [{ span: to.span, text: `${old.label} = ${showSize(old.size)}` }],
    numbers ? {} : { help: `add  require ${showSize(old.size)} % ${showSize(by)} == 0` },
  )
}

/** Whether `of % by == 0` is known here: from a `require`, also for multiples of its left and divisors of its right side. */
export function hasFact(frame: Frame, of: Size, by: Size): boolean {
  if (divide(of, by)?.exact) return true
  if (!isGeneric(frame)) return false
  return frame.facts.some((fact) => {
    const more = divide(of, fact.of)
    const less = divide(fact.by, by)
    return (more?.exact ?? false) && (less?.exact ?? false)
  })
}

/** merge(x, (g, n) -> h) */
export function merge(call: Call): Value {
  const { frame } = call
  const x = operand(call, 0)
  const arrow = call.arrows[0]
  if (!arrow) missing(call, 'a (outer, inner) -> axis')
  if (!x || !arrow || !onlyArguments(call, 1, [])) return unknown
  const from = labelsOf(frame, arrow.from)
  const to = labelOf(frame, arrow.to)
  if (!from || to === undefined || from.length === 0) return unknown
  const places: number[] = []
  for (const { label, span } of from) {
    const at = axisIndex(call, x, label, span)
    if (at === undefined) return unknown
    places.push(at)
  }
  const first = places[0] as number
  if (places.some((at, i) => at !== first + i)) {
    const order = from.map((f) => f.label).join(', ')
    return fail(frame, 'L230', `axes to merge are not neighbours in the order ${order}`, [{ span: arrow.from.span }, ...operandPlaces(x)], {
      help: `rearrange first: order(x, [${rearranged(
        x,
        from.map((f) => f.label),
      ).join(', ')}])`,
    })
  }
  const size = places.reduce((product, at) => times(product, (x.axes[at] as Axis).size), whole(1))
  const axes = x.axes.toSpliced(first, places.length, { label: to, size })
  if (duplicateLabel(frame, axes, call.span, x)) return unknown
  return viewed(x, axes, frame.walk.sink?.merge(x.node, first, places.length, call.span), call)
}

/** The axes with those to be merged side by side, where the first of them stands last of the others before it. */
function rearranged(x: Tensor, merged: readonly string[]): string[] {
  const labels = x.axes.map((axis) => axis.label)
  const last = Math.max(...merged.map((label) => labels.indexOf(label)))
  const before = labels.slice(0, last).filter((label) => !merged.includes(label))
  return [...before, ...merged, ...labels.slice(last + 1)].map(showLabel)
}

/** rename(x, a -> b, …) */
export function rename(call: Call): Value {
  const { frame } = call
  const x = operand(call, 0)
  if (call.arrows.length === 0) missing(call, 'an old -> new')
  if (!x || call.arrows.length === 0 || !onlyArguments(call, 1, [])) return unknown
  const axes = [...x.axes]
  for (const { from, to } of call.arrows) {
    const old = labelOf(frame, from)
    const label = labelOf(frame, to)
    const at = old === undefined ? undefined : axisIndex(call, x, old, from.span)
    if (at === undefined || label === undefined) return unknown
    axes[at] = { ...(x.axes[at] as Axis), label }
  }
  if (duplicateLabel(frame, axes, call.span, x)) return unknown
  return { ...viewed(x, axes, x.node, call) }
}

/** order(x, [b, a]) */
export function order(call: Call): Value {
  const { frame } = call
  const x = operand(call, 0)
  const list = call.positional[1]
  if (!list) missing(call, 'the list of axes as second')
  if (!x || !list || !onlyArguments(call, 2, [])) return unknown
  const wanted = list.kind === 'list' ? labelsOrRows(call, x, list) : evaluate(list, frame)
  const labels = Array.isArray(wanted) ? wanted : wanted?.kind === 'axes' ? wanted.axes.map((a) => a.label) : undefined
  if (!labels) return unknown
  const places = labels.map((label) => axisIndex(call, x, label, list.span))
  if (places.some((p) => p === undefined)) return unknown
  if (places.length !== x.axes.length || new Set(places).size !== places.length) {
    const all = [...new Set([...labels, ...x.axes.map((a) => a.label)])].filter((label) => x.axes.some((a) => a.label === label))
    const help = `write  [${all.map(showLabel).join(', ')}]`
    return fail(frame, 'L216', '`order` must name each axis once', [{ span: list.span }, ...operandPlaces(x)], { help })
  }
  const axes = places.map((p) => x.axes[p as number] as Axis)
  const moved = places.some((p, i) => p !== i)
  const node = moved ? frame.walk.sink?.transpose(x.node, places as number[], call.span) : x.node
  return viewed(x, axes, node, call)
}

function labelsOrRows(call: Call, x: Tensor, list: Extract<Expr, { kind: 'list' }>): string[] | undefined {
  const labels: string[] = []
  for (const axis of list.axes) {
    if (axis.kind === 'row')
      labels.push(
        ...x.axes.filter((a) => a.label === `..${axis.name?.text}` || a.label.startsWith(`..${axis.name?.text}/`)).map((a) => a.label),
      )
    else {
      const label = labelOf(call.frame, axis.size)
      if (label === undefined) return undefined
      labels.push(label)
    }
  }
  return labels
}

/** axes(x): the axes as a list, for `expand` and `order`. */
export function axesList(call: Call): Value {
  const x = operand(call, 0)
  return x && onlyArguments(call, 1, []) ? { kind: 'axes', axes: x.axes } : unknown
}

function viewed(x: Tensor, axes: readonly Axis[], node: unknown, call: Call): Tensor {
  return { kind: 'tensor', elem: x.elem, axes, node, span: call.span, ...(x.range ? { range: x.range } : {}) }
}
