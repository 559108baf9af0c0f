// What `llamac estimate` says: its figures as JSON, and as tables for people.

import { byteSize } from '../compiler/byte-size.ts'
import type { DispatchCost } from '../compiler/cost-model.ts'
import type { Estimate, PartEstimate, StateEstimate, TargetEstimate } from '../compiler/estimate.ts'
import type { Activations } from '../compiler/targets/index.ts'
import type { SpecialisedModel } from '../dsl/model.ts'
import { printable } from '../dsl/text-width.ts'
import type { Ceilings } from './measure/ceilings.ts'
import { boundOf, onDevices, type TargetWork } from './measure/floors.ts'
import { grouped, tableLines } from './table.ts'

export interface Estimated {
  readonly model: SpecialisedModel
  readonly estimated: Estimate
  /** By target, as `estimated` lists them. */
  readonly programBytes: readonly (number | undefined)[]
  readonly work: readonly TargetWork[]
  readonly threads: number
  readonly maximum: Readonly<Record<string, number>>
  readonly math: 'fast' | 'strict'
  readonly activations: Activations | undefined
  /** Measured with `threads` threads. */
  readonly machine?: Ceilings
}

/** All sizes are bytes; `multiply_adds` of f32, `byte_multiply_adds` of 8-bit activations with quantised weights. */
export interface EstimateReport {
  readonly model: string
  readonly preset?: string
  readonly parameters: number
  readonly math: string
  /** Where it was asked for. */
  readonly activations?: Activations
  readonly context?: number
  readonly most_tokens_in_a_call?: number
  readonly threads: number
  readonly parts: readonly PartEstimate[]
  readonly states: readonly (Omit<StateEstimate, 'bytesPerPosition'> & { readonly bytes_per_position: number })[]
  readonly targets: readonly {
    readonly target: string
    readonly memory: TargetEstimate['memory'] & { readonly further_threads: number }
    readonly total: number
    /** 64: needs an engine with memory64. */
    readonly address_bits?: number
    readonly limit?: number
    readonly largest_buffer?: number
    readonly program_bytes?: number
    readonly arena_lower_bound: number
    readonly entries: readonly {
      readonly entry: string
      readonly bytes: number
      readonly lower_bound: number
      readonly peak: readonly string[]
    }[]
    readonly fits: boolean
    readonly problems: readonly { readonly message: string; readonly notes: readonly string[]; readonly help?: string }[]
    readonly calls: readonly {
      readonly entry: string
      readonly position: number
      readonly tokens: number
      readonly bytes: number
      readonly multiply_adds: number
      readonly byte_multiply_adds: number
      /** What the device is given to run, one after the other. */
      readonly dispatches: number
      /**
       * Dispatches by what their (first) kernels are. `bytes` of weights, states and tables, `values` of what lies between kernels: each
       * once; what invocations load in all, from memory or from caches, is counted on WebGPU.
       */
      readonly classes: readonly {
        readonly class: string
        readonly dispatches: number
        readonly bytes: number
        readonly values: number
        readonly loaded?: { readonly bytes: number; readonly values: number }
      }[]
      /** With --machine, on WASM. */
      readonly at_most?: { readonly tokens_per_second: number; readonly bound_by: string }
    }[]
  }[]
  /** By the cost model; calls are those of their target, in its order. */
  readonly devices: readonly {
    readonly device: string
    readonly target: string
    readonly memory: number
    readonly fits: boolean
    readonly calls: readonly {
      readonly tokens_per_second: number
      readonly bound_by: string
      readonly longest_dispatch_ms: number
    }[]
  }[]
  /** 1e9 per second, of all threads together. */
  readonly machine?: Ceilings
  readonly notes: readonly string[]
}

export function reportOf({
  model,
  estimated,
  programBytes,
  work,
  threads,
  maximum,
  math,
  activations,
  machine,
}: Estimated): EstimateReport {
  const context = model.config['ctx']
  const finite = (bytes: number): number | undefined => (Number.isFinite(bytes) ? bytes : undefined)
  return {
    model: model.name,
    ...(model.preset === undefined ? {} : { preset: model.preset }),
    parameters: model.parameters,
    math,
    ...(activations === undefined ? {} : { activations }),
    ...(typeof context === 'number' ? { context } : {}),
    ...(maximum['seq'] === undefined ? {} : { most_tokens_in_a_call: maximum['seq'] }),
    threads,
    parts: estimated.parts,
    states: estimated.states.map(({ bytesPerPosition, ...state }) => ({ ...state, bytes_per_position: bytesPerPosition })),
    targets: estimated.targets.map((one, i) => {
      const further = (threads - 1) * one.perThread
      const [limit, largest] = [finite(one.memoryBytes), finite(one.bindingBytes)]
      return {
        target: one.target,
        memory: { ...one.memory, further_threads: further },
        total: one.total + further,
        ...(one.addressBits === undefined ? {} : { address_bits: one.addressBits }),
        ...(limit === undefined ? {} : { limit }),
        ...(largest === undefined ? {} : { largest_buffer: largest }),
        ...(programBytes[i] === undefined ? {} : { program_bytes: programBytes[i] }),
        arena_lower_bound: one.arenaLowerBound,
        entries: one.entries.map(({ entry, bytes, lowerBound, peak }) => ({ entry, bytes, lower_bound: lowerBound, peak })),
        fits: one.problems.length === 0,
        problems: one.problems.map(({ message, notes, help }) => ({
          message,
          notes: notes ?? [],
          ...(help === undefined ? {} : { help }),
        })),
        calls: work
          .find(({ target }) => target === one.target)!
          .calls.map((call) => {
            const bound = machine && one.target === 'wasm' ? boundOf(call, machine) : undefined
            return {
              entry: call.entry,
              position: call.position,
              tokens: call.tokens,
              bytes: Math.round(call.bytes),
              multiply_adds: call.madds,
              byte_multiply_adds: call.dots,
              dispatches: call.dispatches.reduce((sum, { launches }) => sum + launches, 0),
              classes: classesOf(call.dispatches),
              ...(bound ? { at_most: { tokens_per_second: bound.rate, bound_by: bound.by } } : {}),
            }
          }),
      }
    }),
    devices: estimated.targets.flatMap((one) => {
      const ofTarget = work.find(({ target }) => target === one.target)!
      return onDevices(ofTarget).map(({ device, costs }) => ({
        device: device.name,
        target: one.target,
        memory: device.memoryBytes,
        fits: one.problems.length === 0 && one.total <= device.memoryBytes,
        calls: costs.map(({ seconds, by, longest }, i) => ({
          tokens_per_second: ofTarget.calls[i]!.tokens / seconds,
          bound_by: by,
          longest_dispatch_ms: 1000 * longest,
        })),
      }))
    }),
    ...(machine ? { machine } : {}),
    notes: estimated.notes,
  }
}

function classesOf(dispatches: readonly DispatchCost[]): EstimateReport['targets'][number]['calls'][number]['classes'] {
  const sum = (costs: readonly DispatchCost[], of: (cost: DispatchCost) => number): number =>
    Math.round(total(costs.map((cost) => cost.launches * of(cost))))
  return [...Map.groupBy(dispatches, ({ shape }) => shape)].map(([shape, costs]) => ({
    class: shape,
    dispatches: sum(costs, () => 1),
    bytes: sum(costs, ({ bytes }) => bytes),
    values: sum(costs, ({ values }) => values),
    ...(costs.every(({ loads }) => loads)
      ? { loaded: { bytes: sum(costs, ({ loads }) => loads!.bytes), values: sum(costs, ({ loads }) => loads!.values) } }
      : {}),
  }))
}

export function textOf(report: EstimateReport): string {
  const { model, preset, parameters, math, activations, context, most_tokens_in_a_call: most, threads, notes } = report
  const title = [
    `${printable(model)}${preset === undefined ? '' : ` ${printable(preset)}`}: ${grouped(parameters)} parameters`,
    ...(context === undefined ? [] : [`context ${grouped(context)}`]),
    ...(most === undefined ? [] : [`at most ${grouped(most)} tokens a call`]),
    `${math} math`,
    ...(activations === undefined ? [] : [`${activations} activations`]),
    ...(threads > 1 ? [`${threads} threads`] : []),
  ].join(', ')
  const sections = [
    weightTable(report),
    ...(report.states.length > 0 ? [stateTable(report)] : []),
    memoryTable(report),
    arenaTable(report),
    ...(report.targets.some(({ calls }) => calls.length > 0) ? [workTable(report)] : []),
    ...report.targets.flatMap(loadTable),
    ...report.targets.flatMap(({ target }) => deviceTable(report, target)),
    ...report.targets.flatMap(({ target, problems }) =>
      problems.map(({ message, notes: more, help }) =>
        [`${target}: ${message}`, ...more.map((line) => `  ${line}`), ...(help === undefined ? [] : [`  ${help}`])].map(printable),
      ),
    ),
    ...(notes.length > 0 ? [notes.map((note) => `note: ${printable(note)}`)] : []),
  ]
  return [title, ...sections.map((lines) => lines.join('\n'))].join('\n\n')
}

const total = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

function weightTable({ parts }: EstimateReport): string[] {
  const formats = [...new Set(parts.flatMap((part) => Object.keys(part.formats)))]
  const rows = parts.map((part) => [
    printable(part.part),
    grouped(part.values),
    ...formats.map((format) => (part.formats[format] === undefined ? '' : byteSize(part.formats[format]))),
    byteSize(part.bytes),
  ])
  const all = [
    'all',
    grouped(total(parts.map(({ values }) => values))),
    ...formats.map((format) => byteSize(total(parts.map((part) => part.formats[format] ?? 0)))),
    byteSize(total(parts.map(({ bytes }) => bytes))),
  ]
  return tableLines([['weights', 'values', ...formats, 'bytes'], ...rows, all])
}

function stateTable({ states }: EstimateReport): string[] {
  return tableLines(
    [
      ['states', '', 'bytes', 'per position'],
      ...states.map(({ state, count, dtype, axes, bytes, bytes_per_position }) => [
        printable(state),
        `${count === 1 ? '' : `${count} x `}${dtype}[${axes.map(([name, size]) => `${printable(name)} = ${size}`).join(', ')}]`,
        byteSize(bytes),
        bytes_per_position === 0 ? '-' : byteSize(bytes_per_position),
      ]),
      ['all', '', byteSize(total(states.map(({ bytes }) => bytes))), byteSize(total(states.map((state) => state.bytes_per_position)))],
    ],
    [0, 1],
  )
}

function memoryTable({ targets, threads }: EstimateReport): string[] {
  const row = (name: string, of: (target: EstimateReport['targets'][number]) => string): string[] => [name, ...targets.map(of)]
  return tableLines([
    row('memory', ({ target }) => target),
    row('weights', ({ memory }) => byteSize(memory.weights)),
    row('tables', ({ memory }) => byteSize(memory.tables)),
    row('states of a session', ({ memory }) => byteSize(memory.states)),
    row('arena', ({ memory }) => byteSize(memory.arena)),
    ...(threads > 1 ? [row('further threads', ({ memory }) => byteSize(memory.further_threads))] : []),
    row('addresses, alignment', ({ memory }) => byteSize(memory.rest)),
    row('all', (target) => byteSize(target.total)),
    row('limit', ({ limit, largest_buffer }) =>
      limit !== undefined ? byteSize(limit) : largest_buffer !== undefined ? `${byteSize(largest_buffer)} a buffer` : '-',
    ),
    row('fits', ({ fits, address_bits }) => (fits ? (address_bits === 64 ? 'with memory64' : 'yes') : 'no')),
    row('program', ({ program_bytes }) => (program_bytes === undefined ? '-' : byteSize(program_bytes))),
  ])
}

function arenaTable({ targets }: EstimateReport): string[] {
  return tableLines(
    [
      ['arena', '', 'bytes', 'lower bound', 'most in'],
      ...targets.flatMap(({ target, entries }) =>
        entries.map(({ entry, bytes, lower_bound, peak }) => [
          target,
          printable(entry),
          byteSize(bytes),
          byteSize(lower_bound),
          printable(peak.length > 1 ? `${peak[0]} and ${peak.length - 1} more` : peak.join('')),
        ]),
      ),
    ],
    [0, 1],
  )
}

function workTable({ targets, machine }: EstimateReport): string[] {
  const lines = tableLines(
    [
      ['work', '', 'bytes read', 'multiply-adds', 'of bytes', 'dispatches', ...(machine ? ['at most'] : [])],
      ...targets.flatMap(({ target, calls }) =>
        calls.map((call) => [
          target,
          callName(call),
          byteSize(call.bytes),
          grouped(call.multiply_adds),
          grouped(call.byte_multiply_adds),
          grouped(call.dispatches),
          ...(call.at_most ? [`${figure(call.at_most.tokens_per_second)} tokens/s by ${call.at_most.bound_by}`] : []),
        ]),
      ),
    ],
    [0, 1],
  )
  if (!machine) return lines
  const { dot, madd, readBytes } = machine
  return [
    ...lines,
    `this machine: ${figure(readBytes)} GB/s read, ${figure(dot)} G multiply-adds of bytes and ${figure(madd)} G of f32 a second`,
  ]
}

/** What is moved once and what is loaded in all, by classes of dispatches, where it was counted: of a prompt, and of the last decoded token. */
function loadTable({ target, calls }: EstimateReport['targets'][number]): string[][] {
  const shown = new Set([...calls.slice(0, 1), ...calls.slice(-1)])
  const rows = [...shown].flatMap((call) =>
    call.classes.flatMap(({ class: shape, dispatches, bytes, values, loaded }) =>
      loaded ? [[callName(call), shape, grouped(dispatches), ...[bytes, loaded.bytes, values, loaded.values].map(byteSize)]] : [],
    ),
  )
  if (rows.length === 0) return []
  return [tableLines([[`${target}, loads`, '', 'dispatches', 'weights, states', 'loaded', 'values in, out', 'loaded'], ...rows], [0, 1])]
}

const callName = ({ entry, position, tokens }: EstimateReport['targets'][number]['calls'][number]): string =>
  tokens === 1 ? `${printable(entry)} at ${grouped(position)}` : `${printable(entry)} of ${grouped(tokens)}`

/** How fast described devices of a target could be at best; nothing where none can run the model's calls. */
function deviceTable({ targets, devices }: EstimateReport, name: string): string[][] {
  const { total: needed, calls } = targets.find(({ target }) => target === name)!
  const rows = devices.filter(({ target }) => target === name)
  if (rows.length === 0 || calls.length === 0) return []
  const why = (memory: number): string => (needed > memory ? `no, ${byteSize(needed)}` : 'no, see below')
  return [
    tableLines([
      [`${name}, tokens/s at most`, 'memory', 'fits', ...calls.map(callName), 'longest dispatch'],
      ...rows.map(({ device, memory, fits, calls: costs }) => [
        device,
        byteSize(memory),
        fits ? 'yes' : why(memory),
        ...costs.map(({ tokens_per_second, bound_by }) => `${figure(tokens_per_second)} ${bound_by}`),
        `${figure(Math.max(...costs.map((cost) => cost.longest_dispatch_ms)))} ms`,
      ]),
    ]),
  ]
}

const figure = (value: number): string => (value >= 100 ? grouped(value) : value.toPrecision(3))
