// `llamac logits`: the scores after given ids, for comparing with other frameworks.

import { writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { LlamacError } from '../runtime/error.ts'
import type { Model, Scores, TensorResult } from '../runtime/index.ts'
import { findRoles } from '../runtime/roles.ts'
import { showResult } from './call.ts'
import { addCompileFlags, addDevice, addTap, ids } from './flags.ts'
import { type OpenFlags, openModel } from './open-model.ts'
import { interruptible, note, print, printJson, UsageError } from './report.ts'

interface Flags extends OpenFlags {
  readonly tokens: readonly number[]
  readonly all?: boolean
  readonly step?: boolean
  readonly out?: string
  readonly json?: boolean
}

const shownBest = 10

export function addLogits(program: Command): void {
  const command = program
    .command('logits')
    .argument('<artifact|file>', 'an artifact folder, or a .dsl with --weights')
    .description('the scores of the next token')
    .requiredOption('--tokens <ids>', 'ids to read: 1,2,3', ids)
    .option('--all', 'the scores after every id, not only the last')
    .option('--step', 'read id by id instead of all at once')
    .option('--out <file>', 'raw little-endian f32, row-major')
    .option('--json', 'one JSON document: tokens, dims, logits, and taps by name')
  addTap(addCompileFlags(addDevice(command))).action((path: string, flags: Flags) => interruptible((signal) => logits(path, flags, signal)))
}

async function logits(path: string, flags: Flags, signal: AbortSignal): Promise<void> {
  if (flags.step && flags.tap) throw new UsageError('--tap shows values of one call: give --tap or --step')
  await using model = await openModel(path, flags, signal)
  const { rows, taps } = await readAll(model, flags, signal)
  const vocab = rows[0]!.length
  if (flags.out !== undefined) writeRows(flags.out, rows)
  if (flags.json) {
    const named = taps.map(({ name, dims, values }) => [name!, { dims, values: [...values] }] as const)
    printJson({
      tokens: flags.tokens,
      dims: [rows.length, vocab],
      logits: rows.map((row) => [...row]),
      ...(taps.length === 0 ? {} : { taps: Object.fromEntries(named) }),
    })
    return
  }
  if (flags.out !== undefined) return print(flags.out)
  const first = flags.tokens.length - rows.length
  for (const [index, row] of rows.entries()) {
    const best = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b).slice(0, shownBest)
    print(
      `after ${flags.tokens[first + index]} (position ${first + index}): ${best.map((id) => `${id}${named(model, id)} ${row[id]!.toFixed(4)}`).join('  ')}`,
    )
  }
  for (const tap of taps) print(`${tap.name} ${showResult(tap)}`)
}

const named = ({ tokenizer }: Model, id: number): string => (tokenizer ? ` ${JSON.stringify(tokenizer.decode([id]))}` : '')

interface Read {
  /** Scores, a row an id. */
  readonly rows: readonly Scores[]
  /** Values by path, where the model was compiled with them. */
  readonly taps: readonly TensorResult[]
}

async function readAll(model: Model, { tokens, all = false, step = false, tap }: Flags, signal: AbortSignal): Promise<Read> {
  const session = model.createSession()
  if (step) {
    const rows: Scores[] = []
    for (const id of tokens) rows.push(await session.decode(id, { signal }))
    return { rows: all ? rows : rows.slice(-1), taps: [] }
  }
  const reading = findRoles(model.manifest)[all ? 'score' : 'prefill']
  if (reading?.entry.results.some(({ name }) => name !== undefined)) {
    // Values by path are those of one call.
    const [scores, ...taps] = await session.call(reading.entry.name, { [reading.tokens]: tokens }, { signal })
    return { rows: all ? rowsOf(scores!) : [scores!.values], taps }
  }
  if (tap && reading) note(`note: ${reading.entry.name} computes none of the values that --tap names; llamac call can show other entries`)
  return { rows: all ? rowsOf(await session.score(tokens, { signal })) : [await session.prefill(tokens, { signal })], taps: [] }
}

function rowsOf({ values, dims }: TensorResult): Scores[] {
  const [count, vocab] = dims as readonly [number, number]
  return Array.from({ length: count }, (_, row) => values.subarray(row * vocab, (row + 1) * vocab))
}

function writeRows(file: string, rows: readonly Scores[]): void {
  const bytes = new DataView(new ArrayBuffer(rows.reduce((sum, row) => sum + row.length * 4, 0)))
  let at = 0
  for (const row of rows) for (const value of row) bytes.setFloat32(at++ * 4, value, true)
  try {
    writeFileSync(file, bytes)
  } catch (cause) {
    throw new LlamacError('E_OUTPUT_FILE', `cannot write ${file}: ${(cause as Error).message}`, { cause })
  }
}
