// A WebGPU program on disk: as WebgpuProgram, but every range and every grid is written once, and buffers, ranges and dispatches
// are rows of numbers. A model with many layers has thousands of each, which repeat from layer to layer with other numbers:
// packed-rows.ts writes one layer and what comes on top in the next.

import { fail } from '../error-codes.ts'
import type { WebgpuDispatch as Dispatch, WebgpuProgram } from './manifest.ts'
import { packRows, unpackRows } from './packed-rows.ts'

/** What a sampler is told of a draw, in the uniform buffer: integers, and the bits of f32 numbers. */
export const samplingWords = ['position', 'seed_low', 'seed_high', 'temperature', 'top_k', 'top_p', 'min_p', 'penalty', 'window'] as const

export type SamplingWord = (typeof samplingWords)[number]

type Entry = WebgpuProgram['entries'][string]
type Range = Dispatch['bindings'][number]

/** Lines of a text: [first, how many, …] of the program's lines. */
type Lines = readonly number[]

interface Packed {
  /** Those of all modules, each once: what kernels, and forms of one kernel, have in common is most of them. */
  readonly lines: readonly string[]
  /** [name, text, [what a form requires, its text], …] */
  readonly modules: readonly (readonly [string, Lines, ...(readonly [readonly string[], Lines])[]])[]
  /** Packed rows: [number of its kind, bytes], for a state with its number, for a tensor with its number and the first byte. */
  readonly buffers: readonly unknown[]
  /** Packed rows: [buffer] where it is all of it, else [buffer, offset, bytes]. */
  readonly ranges: readonly unknown[]
  readonly grids: readonly Dispatch['workgroups'][]
  /** A dispatch is a packed row [module, grid, …ranges]. */
  readonly entries: Readonly<
    Record<string, Omit<Entry, 'dispatches' | 'draw'> & { readonly dispatches: readonly unknown[]; readonly draw?: readonly unknown[] }>
  >
  readonly sampler?: WebgpuProgram['sampler']
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

const kinds: readonly Buffer['kind'][] = ['tensor', 'state', 'arena', 'uniform', 'seen']

function packBuffer(buffer: Buffer): unknown {
  const { kind, bytes } = buffer
  if (kind === 'places') return buffer
  const head = [kinds.indexOf(kind), bytes]
  if (kind === 'tensor') return [...head, buffer.tensor, buffer.offset]
  return kind === 'state' ? [...head, buffer.state] : head
}

/** Unchecked, as all that is unpacked. */
function unpackBuffer(value: unknown): unknown {
  if (!Array.isArray(value)) return value
  const [kind, bytes, number, offset] = value as number[]
  const name = kinds[kind!]
  if (name === 'tensor') return { kind: name, tensor: number, offset, bytes }
  return name === 'state' ? { kind: name, state: number, bytes } : { kind: name, bytes }
}

/** A text by the numbers of its lines, neighbours as one run. */
function runsOf(text: string, number: (line: string) => number): Lines {
  const runs: number[] = []
  for (const line of text.split('\n').map(number)) {
    if (runs.length > 0 && line === runs.at(-2)! + runs.at(-1)!) runs[runs.length - 1]!++
    else runs.push(line, 1)
  }
  return runs
}

/** The form that is written as JSON. */
export function packWebgpuProgram({ modules, buffers, entries, sampler }: WebgpuProgram): Packed {
  const [ranges, grids, lines] = [table<readonly number[]>(), table<Dispatch['workgroups']>(), table<string>()]
  const short = ({ buffer, offset, bytes }: Range): readonly number[] =>
    offset === 0 && bytes === buffers[buffer]!.bytes ? [buffer] : [buffer, offset, bytes]
  const pack = (dispatches: readonly Dispatch[]): readonly unknown[] =>
    packRows(
      dispatches.map(({ module, bindings, workgroups }) => [
        module,
        grids.number(workgroups),
        ...bindings.map((range) => ranges.number(short(range))),
      ]),
    )
  const packed = Object.entries(entries).map(
    ([name, { dispatches, draw, ...entry }]) =>
      [name, { ...entry, dispatches: pack(dispatches), ...(draw ? { draw: pack(draw) } : {}) }] as const,
  )
  const packText = (text: string): Lines => runsOf(text, lines.number)
  const packedModules = modules.map(
    ({ name, wgsl, forms = [] }) => [name, packText(wgsl), ...forms.map((form) => [form.requires, packText(form.wgsl)] as const)] as const,
  )
  return {
    lines: lines.values,
    modules: packedModules,
    buffers: packRows(buffers.map(packBuffer)),
    ranges: packRows(ranges.values),
    grids: grids.values,
    entries: Object.fromEntries(packed),
    ...(sampler ? { sampler } : {}),
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** No program's texts have as many; a damaged file might say so. */
const mostLines = 1 << 20

/** Unchecked, but for the numbers of lines. */
function unpackModules({ modules, lines }: Record<string, unknown>): unknown {
  if (!Array.isArray(modules) || !Array.isArray(lines)) return modules
  let left = mostLines
  const textOf = (runs: unknown): unknown => {
    if (!Array.isArray(runs)) return runs
    const found: unknown[] = []
    for (let i = 0; i < runs.length; i += 2) {
      const [first, count] = runs.slice(i, i + 2) as number[]
      if (!(first! >= 0 && count! >= 1 && first! + count! <= lines.length && (left -= count!) >= 0))
        fail('E_ARTIFACT_MANIFEST', 'a module of the WebGPU program has lines that are not there')
      found.push(...lines.slice(first, first! + count!))
    }
    return found.join('\n')
  }
  return modules.map((module) => {
    if (!Array.isArray(module)) return module
    const [name, text, ...forms] = module as unknown[]
    const unpacked = forms.map((form) => (Array.isArray(form) ? { requires: form[0], wgsl: textOf(form[1]) } : form))
    return { name, wgsl: textOf(text), ...(forms.length > 0 ? { forms: unpacked } : {}) }
  })
}

/** The program that was packed, its parts unchecked (checkWebgpuProgram does that). E_ARTIFACT_MANIFEST for numbers that name nothing. */
export function unpackWebgpuProgram(value: unknown): unknown {
  if (!isRecord(value) || !isRecord(value['entries']) || !Array.isArray(value['ranges']) || !Array.isArray(value['grids'])) {
    return fail('E_ARTIFACT_MANIFEST', 'the WebGPU program is not an object with entries, ranges and grids')
  }
  const [ranges, grids] = [unpackRows(value['ranges']), value['grids'] as unknown[]]
  const named = (list: readonly unknown[], number: unknown): unknown => {
    if (typeof number !== 'number' || !(number in list))
      fail('E_ARTIFACT_MANIFEST', 'a dispatch of the WebGPU program names a range or grid that is not there')
    return list[number as number]
  }
  const buffers = Array.isArray(value['buffers']) ? unpackRows(value['buffers']).map(unpackBuffer) : []
  const rangeOf = (row: unknown): unknown => {
    if (!Array.isArray(row)) return row
    const [range, offset, bytes] = row as number[]
    if (row.length !== 1) return { buffer: range, offset, bytes }
    const buffer = buffers[range!]
    return isRecord(buffer)
      ? { buffer: range, offset: 0, bytes: buffer['bytes'] }
      : fail('E_ARTIFACT_MANIFEST', 'a range of the WebGPU program names a buffer that is not there')
  }
  const unpack = (dispatches: unknown): unknown =>
    Array.isArray(dispatches)
      ? unpackRows(dispatches).map((dispatch) => {
          if (!Array.isArray(dispatch)) return dispatch
          const [module, grid, ...bindings] = dispatch as unknown[]
          return { module, workgroups: named(grids, grid), bindings: bindings.map((range) => rangeOf(named(ranges, range))) }
        })
      : dispatches
  const entries = Object.entries(value['entries']).map(([name, entry]) => {
    if (!isRecord(entry)) return [name, entry] as const
    const { dispatches, draw } = entry
    return [name, { ...entry, dispatches: unpack(dispatches), ...(draw === undefined ? {} : { draw: unpack(draw) }) }] as const
  })
  const { sampler } = value
  return { modules: unpackModules(value), buffers, entries: Object.fromEntries(entries), ...(sampler === undefined ? {} : { sampler }) }
}
