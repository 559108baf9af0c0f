// A WebGPU program on disk: as WebgpuProgram, but every range and every grid is written once, dispatches are short lists of
// their numbers, and buffers are lists. A model with many layers has thousands of each.

import { fail } from '../error-codes.ts'
import type { WebgpuProgram } from './manifest.ts'

type Entry = WebgpuProgram['entries'][string]
type Dispatch = Entry['dispatches'][number]
type Range = Dispatch['bindings'][number]

interface Packed {
  readonly modules: WebgpuProgram['modules']
  /** [kind, bytes], for a state with its number, for a tensor with its number and the first byte. */
  readonly buffers: readonly (readonly (string | number)[])[]
  /** A number is a whole buffer. */
  readonly ranges: readonly (number | Range)[]
  readonly grids: readonly Dispatch['workgroups'][]
  /** A dispatch is [module, grid, …ranges]. */
  readonly entries: Readonly<Record<string, Omit<Entry, 'dispatches'> & { readonly dispatches: readonly (readonly number[])[] }>>
}

/** Numbers each distinct value. */
function table<Value>(): { readonly values: Value[]; number(value: Value): number } {
  const values: Value[] = []
  const known = new Map<string, number>()
  return {
    values,
    number(value) {
      const key = JSON.stringify(value)
      const number = known.get(key) ?? values.push(value) - 1
      known.set(key, number)
      return number
    },
  }
}

type Buffer = WebgpuProgram['buffers'][number]

function packBuffer(buffer: Buffer): (string | number)[] {
  const { kind, bytes } = buffer
  if (kind === 'tensor') return [kind, bytes, buffer.tensor, buffer.offset]
  return kind === 'state' ? [kind, bytes, buffer.state] : [kind, bytes]
}

/** Unchecked, as all that is unpacked; an older file has records here. */
function unpackBuffer(value: unknown): unknown {
  if (!Array.isArray(value)) return value
  const [kind, bytes, number, offset] = value as unknown[]
  if (kind === 'tensor') return { kind, tensor: number, offset, bytes }
  return kind === 'state' ? { kind, state: number, bytes } : { kind, bytes }
}

/** The form that is written as JSON. */
export function packWebgpuProgram({ modules, buffers, entries }: WebgpuProgram): Packed {
  const [ranges, grids] = [table<number | Range>(), table<Dispatch['workgroups']>()]
  const short = (range: Range): number | Range =>
    range.offset === 0 && range.bytes === buffers[range.buffer]!.bytes ? range.buffer : range
  const packed = Object.entries(entries).map(([name, entry]) => {
    const dispatches = entry.dispatches.map(({ module, bindings, workgroups }) => [
      module,
      grids.number(workgroups),
      ...bindings.map((range) => ranges.number(short(range))),
    ])
    return [name, { ...entry, dispatches }] as const
  })
  return { modules, buffers: buffers.map(packBuffer), ranges: ranges.values, grids: grids.values, entries: Object.fromEntries(packed) }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The program that was packed, its parts unchecked (checkWebgpuProgram does that). E_ARTIFACT_MANIFEST for numbers that name nothing. */
export function unpackWebgpuProgram(value: unknown): unknown {
  if (!isRecord(value) || !isRecord(value['entries']) || !Array.isArray(value['ranges']) || !Array.isArray(value['grids'])) {
    return fail('E_ARTIFACT_MANIFEST', 'the WebGPU program is not an object with entries, ranges and grids')
  }
  const [ranges, grids] = [value['ranges'] as unknown[], value['grids'] as unknown[]]
  const named = (list: readonly unknown[], number: unknown): unknown => {
    if (typeof number !== 'number' || !(number in list))
      fail('E_ARTIFACT_MANIFEST', 'a dispatch of the WebGPU program names a range or grid that is not there')
    return list[number as number]
  }
  const buffers = Array.isArray(value['buffers']) ? value['buffers'].map(unpackBuffer) : []
  const whole = (range: unknown): unknown => {
    if (typeof range !== 'number') return range
    const buffer = buffers[range]
    return isRecord(buffer)
      ? { buffer: range, offset: 0, bytes: buffer['bytes'] }
      : fail('E_ARTIFACT_MANIFEST', 'a range of the WebGPU program names a buffer that is not there')
  }
  const entries = Object.entries(value['entries']).map(([name, entry]) => {
    if (!isRecord(entry) || !Array.isArray(entry['dispatches'])) return [name, entry] as const
    const dispatches = (entry['dispatches'] as unknown[]).map((dispatch) => {
      if (!Array.isArray(dispatch)) return dispatch
      const [module, grid, ...bindings] = dispatch as unknown[]
      return { module, workgroups: named(grids, grid), bindings: bindings.map((range) => whole(named(ranges, range))) }
    })
    return [name, { ...entry, dispatches }] as const
  })
  return { modules: value['modules'], buffers, entries: Object.fromEntries(entries) }
}
