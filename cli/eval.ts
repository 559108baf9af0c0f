// `llamac eval`: how well a model predicts a text. Perplexity depends on how the tokenizer cuts a text, so figures per character
// and per byte stand beside it: those compare models with different vocabularies.

import type { Command } from 'commander'
import { LlamacError } from '../runtime/error.ts'
import type { Model } from '../runtime/index.ts'
import { addCompileFlags, addDevice, isSource, whole } from './flags.ts'
import { type Comparison, compareOn, contextOf, likelihoodOf } from './measure/likelihood.ts'
import { openModel, type OpenFlags } from './open-model.ts'
import { readText } from './read-text.ts'
import { interruptible, print, printJson, UsageError } from './report.ts'

interface Flags extends OpenFlags {
  readonly text: string
  readonly split?: string
  readonly context?: number
  readonly stride?: number
  readonly json?: boolean
  readonly against?: string
}

export function addEval(program: Command): void {
  const command = program
    .command('eval')
    .argument('<artifact|file>', 'an artifact folder, or a .dsl with --weights')
    .description('perplexity of a text')
    .requiredOption('--text <file>', 'the text, UTF-8')
    .option('--split <mark>', 'the file holds several documents with this between them; each is read on its own, without blank ends')
    .option('--context <n>', 'most tokens to read at once (default: all that the model can)', whole(1))
    .option('--stride <n>', 'tokens between the beginnings of windows, for documents longer than that (default: half of it)', whole(1))
    .option(
      '--against <artifact|file>',
      'another model, read beside it: perplexity of both, divergence, how often they would say the same; a .dsl is compiled with the same flags but for --quant',
    )
    .option('--json', 'one JSON document')
  addCompileFlags(addDevice(command)).action((path: string, flags: Flags) => interruptible((signal) => evaluate(path, flags, signal)))
}

async function evaluate(path: string, flags: Flags, signal: AbortSignal): Promise<void> {
  const documents = documentsIn(readText(flags.text), flags.split)
  if (documents.length === 0) throw new LlamacError('E_TEXT', `${flags.text} holds no text`)
  await using model = await openModel(path, flags, signal)
  await using other = flags.against === undefined ? undefined : await openOther(flags.against, flags, signal)
  if (other) expectSameVocabulary(model, other, flags.against!)
  const { tokenizer } = model
  if (!tokenizer) throw new LlamacError('E_NO_TOKENIZER', 'the model has no tokenizer: compile it with --tokenizer')
  const context = Math.min(flags.context ?? Infinity, contextOf(model), other ? contextOf(other) : Infinity)
  const stride = flags.stride ?? Math.ceil(context / 2)
  if (stride > context)
    throw new UsageError(`--stride ${stride} is more than the ${context} tokens of a window: what lies between would be skipped`)
  let [nats, tokens, characters, bytes] = [0, 0, 0, 0]
  const comparisons: Comparison[] = []
  for (const text of documents) {
    const ids = tokenizer.encode(text)
    if (ids.length < 2) continue
    const windows = { context, stride, signal }
    if (other) comparisons.push(await compareOn(model, expectAlike(other, text, ids, flags.against!), ids, windows))
    const found = comparisons.at(-1) ?? (await likelihoodOf(model, ids, windows))
    nats += found.nats
    tokens += found.predictions
    // Without a BOS the first token is given, so its text is not predicted.
    const given = ids[0] === tokenizer.bos ? '' : tokenizer.decode([ids[0]!])
    characters += [...text].length - [...given].length
    bytes += Buffer.byteLength(text) - Buffer.byteLength(given)
  }
  if (tokens === 0) throw new LlamacError('E_TEXT', `${flags.text} is too short: nothing in it can be predicted`)
  const result = {
    model: model.manifest.model,
    device: model.device,
    documents: documents.length,
    tokens,
    characters,
    bytes,
    nll_per_token: nats / tokens,
    perplexity: Math.exp(nats / tokens),
    nll_per_character: nats / characters,
    bits_per_byte: nats / Math.LN2 / bytes,
    context,
    stride,
    ...(other ? { against: comparison(comparisons, nats, tokens) } : {}),
  }
  if (flags.json) return printJson(result)
  print(
    [
      `perplexity ${result.perplexity.toPrecision(5)}: ${result.nll_per_token.toFixed(5)} nats per token over ${tokens} tokens`,
      `${result.nll_per_character.toFixed(5)} nats per character over ${characters}, ${result.bits_per_byte.toFixed(5)} bits per byte over ${bytes}`,
      `${documents.length} document${documents.length === 1 ? '' : 's'}, windows of ${context} tokens every ${stride}, on ${model.device}`,
      ...(result.against ? againstLines(flags.against!, result.against) : []),
    ].join('\n'),
  )
}

/** The model of --against: an artifact, or a source with the weights as their file has them. */
function openOther(path: string, flags: Flags, signal: AbortSignal): Promise<Model> {
  const { device, threads, quant: _quant, calibrate: _calibrate, ...rest } = flags
  const where = { device, ...(threads === undefined ? {} : { threads }) }
  return openModel(path, isSource(path) ? { ...rest, ...where } : where, signal)
}

/** E_AGAINST where the models give scores to different numbers of tokens, as far as their configs tell. */
function expectSameVocabulary(model: Model, other: Model, path: string): void {
  const [own, theirs] = [model, other].map(({ manifest }) => manifest.config['vocab'])
  if (typeof own === 'number' && typeof theirs === 'number' && own !== theirs)
    throw new LlamacError('E_AGAINST', `${path} scores ${theirs} tokens, the model ${own}: their predictions cannot be compared`)
}

/** E_AGAINST where the other model cuts the text into other tokens. */
function expectAlike(other: Model, text: string, ids: readonly number[], path: string): Model {
  const theirs = other.tokenizer?.encode(text)
  if (theirs && (theirs.length !== ids.length || theirs.some((id, i) => id !== ids[i])))
    throw new LlamacError('E_AGAINST', `${path} cuts the text into other tokens, so predictions cannot be compared one by one`)
  return other
}

interface Against {
  readonly perplexity: number
  readonly nll_per_token: number
  /** Perplexity of the model over that of the other. */
  readonly ratio: number
  readonly kl_mean: number
  readonly kl_99: number
  readonly kl_most: number
  /** Share of predictions with the same best token. */
  readonly same_best: number
}

function comparison(parts: readonly Comparison[], nats: number, tokens: number): Against {
  const theirs = parts.reduce((sum, { otherNats }) => sum + otherNats, 0)
  const divergences = parts.flatMap((part) => part.divergences).sort((a, b) => a - b)
  return {
    perplexity: Math.exp(theirs / tokens),
    nll_per_token: theirs / tokens,
    ratio: Math.exp((nats - theirs) / tokens),
    kl_mean: divergences.reduce((sum, each) => sum + each, 0) / tokens,
    kl_99: divergences[Math.ceil(0.99 * tokens) - 1]!,
    kl_most: divergences.at(-1)!,
    same_best: parts.reduce((sum, { sameBest }) => sum + sameBest, 0) / tokens,
  }
}

const againstLines = (path: string, { perplexity, ratio, kl_mean, kl_99, kl_most, same_best }: Against): string[] => [
  `against ${path}: perplexity ${perplexity.toPrecision(5)}, this is ${ratio.toFixed(4)} times as much`,
  `divergence from it ${kl_mean.toFixed(5)} nats a token (99 % below ${kl_99.toFixed(5)}, at most ${kl_most.toFixed(5)}), same first choice at ${(100 * same_best).toFixed(1)} %`,
]

/** The documents of a file; those of nothing but blanks are left out. */
export function documentsIn(text: string, mark?: string): string[] {
  const parts = mark === undefined || mark === '' ? [text] : text.split(mark).map((part) => part.trim())
  return parts.filter((part) => part.trim() !== '')
}
