// Lists of rows of numbers that repeat: layer after layer the same rows, each number with a step of its own from one to the next. A
// run is written as its first rows, the steps, and how often; what is no row stays where it is.

import { fail } from '../error-codes.ts'

export type Row = readonly number[]

interface Run {
  readonly times: number
  readonly rows: readonly Row[]
  readonly steps: readonly Row[]
}

/** Longer runs of rows are not looked for. */
const longestPeriod = 1024
/** No program has as many rows; a damaged file might say so. */
const mostRows = 1 << 20

const isRow = (value: unknown): value is Row => Array.isArray(value) && value.every((number) => typeof number === 'number')

/** How far b is from a, or undefined where they do not compare. */
const stepOf = (a: unknown, b: unknown): Row | undefined =>
  isRow(a) && isRow(b) && a.length === b.length ? b.map((number, i) => number - a[i]!) : undefined

const isStep = (a: unknown, b: unknown, step: Row): boolean =>
  isRow(a) && isRow(b) && b.length === step.length && a.length === step.length && step.every((by, i) => b[i]! - a[i]! === by)

/** The run of `period` rows at `start` that goes on longest, if there is one. */
function runAt(list: readonly unknown[], start: number, period: number): Run | undefined {
  if (start + 2 * period > list.length) return undefined
  const steps: Row[] = []
  for (let i = start; i < start + period; i++) {
    const step = stepOf(list[i], list[i + period])
    if (!step) return undefined
    steps.push(step)
  }
  let end = start + 2 * period
  while (end < list.length && isStep(list[end - period], list[end], steps[(end - start) % period]!)) end++
  const times = Math.floor((end - start) / period)
  return times < 3 ? undefined : { times, rows: list.slice(start, start + period) as Row[], steps }
}

export function packRows(list: readonly unknown[]): unknown[] {
  const packed: unknown[] = []
  for (let at = 0; at < list.length; ) {
    let best: Run | undefined
    for (let period = 1; period <= longestPeriod && at + 3 * period <= list.length; period++) {
      const run = runAt(list, at, period)
      if (run && (!best || run.times * run.rows.length > best.times * best.rows.length)) best = run
    }
    packed.push(best ?? list[at])
    at += best ? best.times * best.rows.length : 1
  }
  return packed
}

/** A run as it is read, its parts unchecked. */
const isRun = (value: unknown): value is { readonly times: unknown; readonly rows: unknown; readonly steps: unknown } =>
  typeof value === 'object' && value !== null && 'times' in value && 'rows' in value && 'steps' in value

function checked({ times, rows, steps }: { readonly times: unknown; readonly rows: unknown; readonly steps: unknown }): Run {
  const isRows = (value: unknown): value is readonly Row[] => Array.isArray(value) && value.every(isRow)
  if (typeof times !== 'number' || !Number.isInteger(times) || !isRows(rows) || !isRows(steps) || times * rows.length > mostRows)
    return damaged()
  return rows.every((row, i) => row.length === steps[i]?.length) ? { times, rows, steps } : damaged()
}

const damaged = (): never => fail('E_ARTIFACT_MANIFEST', 'a run of rows in the WebGPU program is damaged')

/** The list that was packed, its rows unchecked. E_ARTIFACT_MANIFEST for a run that is none. */
export function unpackRows(packed: readonly unknown[]): unknown[] {
  return packed.flatMap((item) => {
    if (!isRun(item)) return [item]
    const { times, rows, steps } = checked(item)
    return Array.from({ length: Math.max(0, times) }, (_, turn) =>
      rows.map((row, i) => row.map((number, j) => number + turn * steps[i]![j]!)),
    ).flat()
  })
}
