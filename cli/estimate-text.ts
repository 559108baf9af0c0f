// The figures of `llamac estimate` as tables for people.

import { byteSize } from '../compiler/byte-size.ts'
import { printable } from '../dsl/text-width.ts'
import { type EstimateReport, total } from './estimate-report.ts'
import { grouped, tableLines } from './table.ts'

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
