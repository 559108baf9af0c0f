// A memory plan for people: what lies where and when, and why the arena is as large as it is. One table of steps (what runs, how threads
// share it, how much is alive) and one of values for each entry.

import type { Plan, EntryPlan } from '../compiler/plan/plan.ts'
import { aliveAt, type Buffer, firstStep, largestLiveSet, lastStep } from '../compiler/plan/arena.ts'
import { grouped, tableLines } from './table.ts'

export function planText(plan: Plan): string {
  const { arenaBytes, ownFrom, layout, entries } = plan
  const own = arenaBytes - ownFrom
  return [
    `arena: ${grouped(arenaBytes)} bytes for all entries${own === 0 ? '' : `, of which ${grouped(own)} for each thread alone`}`,
    tableLines(stored(layout)).join('\n'),
    ...entries.map((entry) => entryText(entry, plan)),
  ].join('\n\n')
}

/** Weights and tables by format and layout, states one by one. */
function stored({ tensors, states, stateBytes }: Plan['layout']): string[][] {
  const classes = Map.groupBy(
    tensors,
    ({ path, format, layout }) => `${path.startsWith('table:') ? 'tables' : 'weights'} ${format}/${layout}`,
  )
  return [
    ['stored', 'count', 'bytes'],
    ...[...classes].map(([name, some]) => [name, grouped(some.length), grouped(some.reduce((sum, { bytes }) => sum + bytes, 0))]),
    ['states of a session', grouped(states.length), grouped(stateBytes)],
  ]
}

function entryText({ info, arena, buffers, steps, shares, barriers, touches }: EntryPlan, { ownFrom }: Plan): string {
  const peak = largestLiveSet(buffers)
  // Without threads nothing is touched by several.
  const kernel = (name: string): string =>
    touches.length === 0 ? name : `${barriers.has(name) ? 'meet, ' : ''}${shares.get(name)!} ${name}`
  const last = Math.max(...buffers.map(lastStep))
  const stepRows = Array.from({ length: last + 1 }, (_, step) => [
    String(step),
    grouped(aliveAt(buffers, step)),
    step === peak.step ? 'most' : '',
    (steps[step] ?? []).map(kernel).join(', ') || (step === last ? '(results)' : '(loop)'),
  ])
  const rows = buffers
    .toSorted((a, b) => firstStep(a) - firstStep(b) || arena.offsets.get(a.id)! - arena.offsets.get(b.id)!)
    .map((buffer) => {
      const offset = arena.offsets.get(buffer.id)!
      return [
        buffer.id.replace(':', ' '),
        buffer.spans.map(({ from, to }) => `${from} .. ${to}`).join(', '),
        grouped(buffer.bytes),
        offset < ownFrom ? grouped(offset) : `own ${grouped(offset - ownFrom)}`,
        takesOver(buffer, buffers, arena.offsets),
      ]
    })
  const aligned = (lines: readonly (readonly string[])[], left: readonly number[]): string => tableLines(lines, left).join('\n')
  return [
    `${info.name}: ${grouped(arena.bytes)} bytes, lower bound ${grouped(arena.lowerBound)}`,
    aligned([['step', 'alive', '', 'kernels'], ...stepRows], [2, 3]),
    aligned([['value', 'steps', 'bytes', 'offset', 'takes the place of'], ...rows], [0, 4]),
  ].join('\n\n')
}

/** Who lay there last, before this one. */
function takesOver(buffer: Buffer, buffers: readonly Buffer[], offsets: Plan['entries'][number]['arena']['offsets']): string {
  const start = offsets.get(buffer.id)!
  const first = firstStep(buffer)
  const lastBefore = ({ spans }: Buffer): number => Math.max(...spans.map(({ from, to }) => (from < first && to <= first ? to : -Infinity)))
  const before = buffers.filter((other) => {
    const at = offsets.get(other.id)!
    return other !== buffer && lastBefore(other) > -Infinity && at < start + buffer.bytes && start < at + other.bytes
  })
  const latest = Math.max(...before.map(lastBefore))
  const names = before.filter((other) => lastBefore(other) === latest).map(({ id }) => id.replace(/^.*?:/, ''))
  return `${names.join(', ')}${names.length > 0 && latest === first ? ' (in place)' : ''}`
}
