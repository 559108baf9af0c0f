// Whether a plan fits a target: each state and the arena into one binding, everything together into the target's memory (L601).
// Weights need no look of their own: they are cut into bindings. What would fit is told: a storage format, a shorter context, both.

import { diagnose } from '../../dsl/codes.ts'
import type { Diagnostic, Label } from '../../dsl/diagnostics.ts'
import type { SpecialisedModel } from '../../dsl/model.ts'
import type { StateInfo, WeightInfo } from '../../dsl/sink.ts'
import { byteSize } from '../byte-size.ts'
import { type FormatName, fits, formatNames, layoutBytes } from '../formats/index.ts'
import type { Machine } from '../schedule/machine.ts'
import { largestLiveSet } from './arena.ts'
import { argumentKey, valueBytes, valueKey } from './lifetimes.ts'
import type { EntryPlan, Plan } from './plan.ts'

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

/** A compilation that a target's memory ends; `compileModel` makes diagnostics of it. */
export class Refused extends Error {
  readonly diagnostics: readonly Diagnostic[]

  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map(({ message }) => message).join('; '))
    this.diagnostics = diagnostics
  }
}

/**
 * Errors for what the target cannot hold; `target` is its name. Without weights (`described`) nothing will run: too little memory for
 * weights and states is then a warning, so that the program of a model of any size can be read. Values of one call must still fit.
 */
export function checkMemory(
  { layout, arenaBytes, entries }: Plan,
  model: Pick<SpecialisedModel, 'name' | 'weights' | 'states'>,
  target: string,
  machine: Machine,
  described: boolean,
): Diagnostic[] {
  const found: Diagnostic[] = []
  const { bindingBytes, memoryBytes } = machine
  const largest = layout.states.toSorted((a, b) => b.bytes - a.bytes)[0]
  if (largest && largest.bytes > bindingBytes) {
    const info = model.states.find(({ path }) => path === largest.path)
    const dims = `[${largest.dims.join(', ')}] of ${largest.format ?? largest.dtype}`
    const labels: Label[] = info ? [{ span: info.span, text: dims }] : []
    const message = `the state ${largest.path} needs ${byteSize(largest.bytes)}; the largest buffer of ${target} is ${byteSize(bindingBytes)}`
    const room = info && contextFor(bindingBytes, [{ info, bytes: largest.bytes }])
    found.push(diagnose('L601', { message, labels, help: `use a shorter context: --ctx${room ? ` ${room}` : ''}` }))
  }
  if (arenaBytes > bindingBytes) {
    const message = `values of one call need ${byteSize(arenaBytes)}; the largest buffer of ${target} is ${byteSize(bindingBytes)}`
    const most = callSizeFor(bindingBytes, entries)
    const help =
      most === undefined ? 'use a shorter context (--ctx)' : `use fewer tokens in one call (--max-seq ${most}) or a shorter context (--ctx)`
    found.push(diagnose('L601', { message, labels: [], help }))
  }
  const weightBytes = sum(layout.tensors.map(({ bytes }) => bytes))
  const total = weightBytes + layout.stateBytes + arenaBytes
  if (found.length > 0 || total <= memoryBytes) return found
  const heaviest = layout.tensors.toSorted((a, b) => b.bytes - a.bytes)[0]
  const weight = model.weights.find(({ path }) => path === heaviest?.path)
  const labels: Label[] =
    weight && heaviest ? [{ span: weight.span, text: `the largest weight: ${byteSize(heaviest.bytes)} as ${heaviest.format}` }] : []
  const readOnly = described && arenaBytes < memoryBytes
  const notes = [
    `weights ${byteSize(weightBytes)}, states ${byteSize(layout.stateBytes)}, values of one call ${byteSize(arenaBytes)}`,
    ...(readOnly ? ['without weights the program is written all the same, to be read'] : []),
  ]
  const message = `${model.name} needs ${byteSize(total)}; the memory of ${target} is ${byteSize(memoryBytes)}`
  const states = model.states.map((info) => ({ info, bytes: layout.states[layout.state(info.path)]!.bytes }))
  // Other formats and sizes change the arena a little, and alignment takes some.
  const help = remedy(layout.tensors, model.weights, states, memoryBytes - 1.25 * arenaBytes - 2 ** 20)
  const tooLarge = diagnose('L601', { message, labels, notes, help })
  return [...found, readOnly ? { ...tooLarge, severity: 'warning' } : tooLarge]
}

interface StoredState {
  readonly info: StateInfo
  readonly bytes: number
}

/** The largest context, in steps of 64 positions, with which these states take at most `room`; undefined where it would be none. */
function contextFor(room: number, states: readonly StoredState[]): number | undefined {
  const growing = states.filter(({ info }) => info.labels.includes('ctx'))
  const fixed = sum(states.map(({ bytes }) => bytes)) - sum(growing.map(({ bytes }) => bytes))
  const perPosition = sum(growing.map(({ info, bytes }) => bytes / info.dims[info.labels.indexOf('ctx')]!))
  const most = Math.floor((room - fixed) / perPosition / 64) * 64
  return most >= 64 && Number.isFinite(most) ? most : undefined
}

/** The largest power of two that as a bound of `seq` makes the values of every entry fit into `room`; undefined where none does. */
function callSizeFor(room: number, entries: readonly EntryPlan[]): number | undefined {
  const bytesAt = ({ program, buffers, info }: EntryPlan, seq: number): number => {
    const bounds = new Map(program.symbols)
    const bound = bounds.get('seq')
    if (bound) bounds.set('seq', { ...bound, max: Math.min(bound.max, seq) })
    const values = new Map<string, number>([
      ...[...program.values.values()].map((value) => [valueKey(value.id), valueBytes(value, bounds)] as const),
      ...info.arguments.flatMap((argument) =>
        argument.kind === 'tensor'
          ? [[argumentKey(argument.name), valueBytes({ dims: argument.type.dims, format: 'f32' }, bounds)] as const]
          : [],
      ),
    ])
    return largestLiveSet(buffers.map((buffer) => ({ ...buffer, bytes: values.get(buffer.id) ?? buffer.bytes }))).bytes
  }
  const most = Math.max(1, ...entries.flatMap(({ info }) => info.symbols.flatMap(({ name, max }) => (name === 'seq' ? [max] : []))))
  for (let seq = 2 ** Math.ceil(Math.log2(most) - 1); seq >= 1; seq /= 2) {
    if (entries.every((entry) => bytesAt(entry, seq) <= room * 0.95)) return seq
  }
  return undefined
}

/** A context worth suggesting. */
const leastContext = 256

/** What would fit into `room` bytes: the storage format that loses least, a shorter context, or both. */
function remedy(tensors: Plan['layout']['tensors'], weights: readonly WeightInfo[], states: readonly StoredState[], room: number): string {
  const weightBytes = sum(tensors.map(({ bytes }) => bytes))
  const stateBytes = sum(states.map(({ bytes }) => bytes))
  const pinned = new Set(weights.flatMap(({ path, quant, precision }) => (quant && precision !== 'f32' ? [] : [path])))
  const smaller = formatNames
    .map((name) => ({ name, bytes: sum(tensors.map((tensor) => bytesAs(name, tensor, pinned))) }))
    .filter(({ bytes }) => bytes < weightBytes)
    .sort((a, b) => b.bytes - a.bytes)
  const ways: string[] = []
  const enough = smaller.find(({ bytes }) => bytes + stateBytes <= room)
  if (enough) ways.push(`with  --quant ${enough.name}  the weights are ${byteSize(enough.bytes)}`)
  const shorter = contextFor(room - weightBytes, states)
  if (shorter !== undefined && shorter >= leastContext)
    ways.push(`with  --ctx ${shorter}  the states are at most ${byteSize(room - weightBytes)}`)
  if (ways.length > 0) return ways.join('; ')
  for (const { name, bytes } of smaller.toReversed()) {
    const context = contextFor(room - bytes, states)
    if (context !== undefined && context >= leastContext) return `it fits with  --quant ${name} --ctx ${context}`
  }
  const least = smaller.at(-1)
  return `no storage format makes this fit${least ? `: as ${least.name} the weights are ${byteSize(least.bytes)}` : ''}; take a smaller model`
}

/** Bytes of a tensor where all weights are asked to be stored in one format, as plan/weights.ts decides. */
function bytesAs(
  format: FormatName,
  { path, layout, rows, dims, bytes }: Plan['layout']['tensors'][number],
  pinned: ReadonlySet<string>,
): number {
  const k = dims.reduce((product, dim) => product * dim, 1) / rows
  return layout === 'r8' && !pinned.has(path) && fits(format, layout, k) ? layoutBytes(format, layout, rows, k) : bytes
}
