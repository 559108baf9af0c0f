// `llamac run`: generates text (or ids, where there is no tokenizer) from a prompt. Without a file it runs the model that ships
// with the package, so that the first command of a newcomer shows something.

import type { Command } from 'commander'
import { LlamacError } from '../runtime/error.ts'
import type { GeneratedPiece, Model } from '../runtime/index.ts'
import { addCompileFlags, addDevice, amount, ids, several, share, whole } from './flags.ts'
import { type EntryRole, type OpenFlags, openModel } from './open-model.ts'
import { markStart, startText, startTimes } from './measure/start-times.ts'
import { interruptible, note, plainText, printJson, UsageError } from './report.ts'

interface Flags extends OpenFlags {
  readonly prompt?: string
  readonly tokens?: readonly number[]
  readonly count: number
  readonly temperature: number
  readonly topK?: number
  readonly topP?: number
  readonly minP?: number
  readonly repetitionPenalty?: number
  readonly repetitionWindow?: number
  readonly seed: number
  readonly stop?: readonly string[]
  readonly stats?: boolean
  readonly json?: boolean
}

/** What generating needs: the other entries of a .dsl are not compiled. */
const roles: readonly EntryRole[] = ['prefill', 'decode']

export function addRun(program: Command): void {
  const command = program
    .command('run')
    .argument('[artifact|file]', 'an artifact folder, or a .dsl with --weights (default: a small trained LLaMA)')
    .description('generates text')
    .option('-p, --prompt <text>', 'the beginning (default: BOS only)')
    .option('--tokens <ids>', 'the beginning as ids: 1,2,3', ids)
    .option('-n, --count <n>', 'most tokens to generate', whole(0), 256)
    .option('--temperature <t>', '0 takes the best token', amount, 0)
    .option('--top-k <k>', 'draw from the k best', whole(0))
    .option('--top-p <p>', 'draw from the smallest set with this mass', share)
    .option('--min-p <p>', 'drop what is less probable than this part of the best', share)
    .option(
      '--repetition-penalty <r>',
      'divides the scores of ids that were there lately, where they are positive, else multiplies them',
      amount,
    )
    .option('--repetition-window <n>', 'how many ids before count for that (default: 64)', whole(0))
    .option('--seed <n>', 'seed of the draws', whole(0), 0)
    .option('--stop <text>', 'ends the text; repeatable', several)
    .option('--stats', 'how long it took from the start of the process to the first token, in parts')
    .option('--json', 'one JSON document: prompt_ids, tokens, text, stop, with --stats also start')
  addCompileFlags(addDevice(command)).action((path: string | undefined, flags: Flags) =>
    interruptible((signal) => run(path, flags, signal)),
  )
  command.options.find(({ long }) => long === '--tokens')?.conflicts('prompt')
}

async function run(path: string | undefined, flags: Flags, signal: AbortSignal): Promise<void> {
  markStart('starting')
  await using model = await (path === undefined ? openDefault(flags, signal) : openModel(path, flags, signal, roles))
  markStart('loading')
  const prompt = promptIds(model, flags)
  if (!model.tokenizer && !flags.json) note('note: the model has no tokenizer; these are token ids')
  const session = model.createSession({ seed: flags.seed })
  const options = {
    maxTokens: flags.count,
    temperature: flags.temperature,
    ...(flags.topK === undefined ? {} : { topK: flags.topK }),
    ...(flags.topP === undefined ? {} : { topP: flags.topP }),
    ...(flags.minP === undefined ? {} : { minP: flags.minP }),
    ...(flags.repetitionPenalty === undefined ? {} : { repetitionPenalty: flags.repetitionPenalty }),
    ...(flags.repetitionWindow === undefined ? {} : { repetitionWindow: flags.repetitionWindow }),
    ...(flags.stop === undefined ? {} : { stop: flags.stop }),
    signal,
  }
  const pieces: GeneratedPiece[] = []
  const started = performance.now()
  let first = started
  for await (const piece of session.generate(prompt, options)) {
    pieces.push(piece)
    if (pieces.length === 1) {
      first = performance.now()
      markStart('reading the prompt')
    }
    if (!flags.json) process.stdout.write(model.tokenizer ? shown(piece.text) : `${pieces.length > 1 ? ' ' : ''}${piece.token}`)
  }
  const seconds = (performance.now() - first) / 1000
  if (flags.json) {
    const tokens = pieces.map(({ token }) => token)
    const text = pieces.map((piece) => piece.text).join('')
    const stop = pieces.at(-1)?.stop ?? 'length'
    printJson({ prompt_ids: prompt, tokens, text, stop, ...(flags.stats ? { start: startTimes() } : {}) })
    return
  }
  process.stdout.write('\n')
  const rate = pieces.length > 1 && seconds > 0 ? `, ${((pieces.length - 1) / seconds).toFixed(1)} tokens/s` : ''
  const full = pieces.at(-1)?.stop === 'context' ? '; the context is full (--ctx)' : ''
  note(`${pieces.length} tokens after a prompt of ${prompt.length} (${Math.round(first - started)} ms)${rate} on ${model.device}${full}`)
  if (flags.stats) note(startText(startTimes()))
}

/** A model's text may hold anything; a pipe gets it as it is, a terminal without control characters. */
const shown = (text: string): string => (process.stdout.isTTY ? plainText(text) : text)

/** What would make it another model needs that model's file. */
const anothers = {
  weights: '--weights',
  seedWeights: '--seed-weights',
  preset: '--preset',
  config: '--config',
  tokenizer: '--tokenizer',
} as const

async function openDefault(flags: Flags, signal: AbortSignal): Promise<Model> {
  const given = Object.entries(anothers).find(([name]) => flags[name as keyof typeof anothers] !== undefined)
  if (given) throw new UsageError(`${given[1]} needs a model's .dsl file: llamac run models/llama.dsl ${given[1]} …`)
  const { defaultModel } = await import('../compiler/package-sources.ts')
  const { entry, weights } = defaultModel()
  return openModel(entry, { ...flags, weights }, signal, roles)
}

function promptIds({ tokenizer }: Model, { prompt, tokens }: Flags): readonly number[] {
  if (tokens) return tokens
  if (prompt !== undefined && prompt !== '') {
    if (!tokenizer)
      throw new LlamacError('E_NO_TOKENIZER', 'the model has no tokenizer: give --tokens 1,2,3, or compile it with --tokenizer')
    return tokenizer.encode(prompt)
  }
  if (tokenizer?.bos === undefined)
    throw new LlamacError('E_ARGUMENT', 'the model has no BOS token to begin with: give -p TEXT or --tokens 1,2,3')
  return [tokenizer.bos]
}
