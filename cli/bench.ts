// `llamac bench`: how fast a model reads and generates here, beside what the machine can do. Here only its flags;
// measure/bench-rounds.ts measures.

import { type Command, InvalidArgumentError } from 'commander'
import { addCompileFlags, addDeviceName, amount, whole } from './flags.ts'
import type { Peer } from './measure/peers.ts'
import type { OpenFlags } from './open-model.ts'
import { interruptible } from './report.ts'

export interface BenchFlags extends Omit<OpenFlags, 'threads'> {
  readonly prefill: readonly number[]
  readonly decode: number
  readonly at?: readonly number[]
  readonly temperature?: number
  readonly threads: readonly number[]
  readonly rounds: number
  readonly kernels?: boolean
  readonly compare?: readonly Peer[]
  readonly json?: boolean
}

export function addBench(program: Command): void {
  const command = program
    .command('bench')
    .argument('<artifact|file>', 'an artifact folder, or a .dsl with --weights or --seed-weights')
    .description('prefill and decode rates, load time, memory, and the share of what the machine can do')
    .option('--prefill <lengths>', 'prompts of these lengths: 128,512', counts, [128])
    .option('--decode <n>', 'tokens to generate after the first of these prompts', whole(1), 64)
    .option('--at <positions>', 'also decode at these positions, 16 tokens at each: 511,2000,8000', counts)
    .option('--temperature <t>', 'draw the tokens; 0 takes the best', amount, 0)
    .option('--threads <counts>', 'numbers of threads to measure: 1,2', counts, [1])
    .option('--rounds <n>', 'rounds that count', whole(1), 5)
    .option('--kernels', 'also the time of each kernel, on one thread of WASM; measured apart, after the rounds')
    .option(
      '--compare <name=command>',
      'a command to time in the same rounds, for each number of threads; repeatable. Its environment has LLAMAC_PREFILL, LLAMAC_DECODE and LLAMAC_THREADS; a line {"prefill": …, "decode": …} of its stdout tells tokens per second, else its wall time counts',
      peer,
    )
    .option('--json', 'one JSON document')
  addCompileFlags(addDeviceName(command)).action(async (path: string, flags: BenchFlags) => {
    const { bench } = await import('./measure/bench-rounds.ts')
    await interruptible((signal) => bench(path, flags, signal))
  })
}

function counts(text: string): readonly number[] {
  const values = text.split(',').map((part) => Number(part.trim()))
  if (values.some((value) => !Number.isSafeInteger(value) || value < 1))
    throw new InvalidArgumentError('expected whole numbers from 1, such as 1,2')
  return values
}

function peer(text: string, before: readonly Peer[] | undefined): readonly Peer[] {
  const cut = text.indexOf('=')
  if (cut <= 0 || cut === text.length - 1) throw new InvalidArgumentError('expected name=command')
  return [...(before ?? []), { name: text.slice(0, cut).trim(), command: text.slice(cut + 1) }]
}
