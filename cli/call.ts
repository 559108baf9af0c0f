// `llamac call`: any entries, in order, on one session. A call is written as in the language: `prefill(tokens: [1, 2], start: 0)`;
// its values are JSON numbers, truth values and nested lists of them.

import type { Command } from 'commander'
import type { EntryArguments, TensorResult } from '../runtime/index.ts'
import { addCompileFlags, addDevice, addTap } from './flags.ts'
import { type OpenFlags, openModel } from './open-model.ts'
import { interruptible, print, printJson, UsageError } from './report.ts'

interface Flags extends OpenFlags {
  readonly json?: boolean
}

interface Call {
  readonly entry: string
  readonly args: EntryArguments
}

const mostShown = 16

export function addCall(program: Command): void {
  const command = program
    .command('call')
    .description('calls entries of a model, in order, on one session')
    .argument('<artifact|file>', 'an artifact folder, or a .dsl with --weights')
    .argument('<calls...>', "such as 'prefill(tokens: [1, 2], start: 0)'")
    .option(
      '--json',
      'one JSON document: a list of entry, dims, values (or results, where an entry has several; those of --tap have a name)',
    )
  addTap(addCompileFlags(addDevice(command))).action((path: string, calls: readonly string[], flags: Flags) =>
    interruptible((signal) => call(path, calls.map(parseCall), flags, signal)),
  )
}

/** Errors: UsageError. */
export function parseCall(text: string): Call {
  const match = /^\s*([A-Za-z_]\w*)\s*\(([\w\s.,:[\]+-]*)\)\s*$/.exec(text)
  const wrong = (): never => {
    throw new UsageError(
      `cannot read the call ${text.length > 200 ? `${text.slice(0, 200)}…` : text}; expected entry(argument: value, …) with numbers, true, false and [lists]`,
    )
  }
  if (!match) return wrong()
  try {
    return { entry: match[1]!, args: JSON.parse(`{${match[2]!.replaceAll(/([A-Za-z_]\w*)\s*:/g, '"$1":')}}`) as EntryArguments }
  } catch {
    return wrong()
  }
}

async function call(path: string, calls: readonly Call[], flags: Flags, signal: AbortSignal): Promise<void> {
  await using model = await openModel(path, flags, signal)
  const session = model.createSession()
  const done: { entry: string; results: TensorResult[] }[] = []
  for (const { entry, args } of calls) {
    const results = await session.call(entry, args, { signal })
    done.push({ entry, results })
    if (!flags.json)
      for (const result of results) print(`${entry} ${result.name === undefined ? '' : `${result.name} `}${showResult(result)}`)
    if (!flags.json && results.length === 0) print(`${entry} done`)
  }
  if (!flags.json) return
  const plain = ({ name, dims, values }: TensorResult) => ({ ...(name === undefined ? {} : { name }), dims, values: [...values] })
  printJson(
    done.map(({ entry, results }) => (results.length === 1 ? { entry, ...plain(results[0]!) } : { entry, results: results.map(plain) })),
  )
}

/** `f32[seq = 2, vocab = 96]: 0.1 0.2 …` */
export function showResult({ dtype, dims, labels, values }: TensorResult): string {
  const axes = dims.map((dim, axis) =>
    labels[axis] === undefined || labels[axis] === String(dim) ? String(dim) : `${labels[axis]} = ${dim}`,
  )
  const rest = values.length > mostShown ? ` … ${values.length - mostShown} more` : ''
  return `${dtype}[${axes.join(', ')}]: ${[...values.subarray(0, mostShown)].map((value) => Number(value.toPrecision(7))).join(' ')}${rest}`
}
