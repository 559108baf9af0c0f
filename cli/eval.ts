// `llamac eval`: how well a model predicts a text. Perplexity depends on how the tokenizer cuts a text, so figures per character
// and per byte stand beside it: those compare models with different vocabularies.

import type { Command } from 'commander'
import { LlamacError } from '../runtime/error.ts'
import { addCompileFlags, addDevice, whole } from './flags.ts'
import { contextOf, likelihoodOf } from './measure/likelihood.ts'
import { openModel, type OpenFlags } from './open-model.ts'
import { readText } from './read-text.ts'
import { interruptible, print, printJson, UsageError } from './report.ts'

interface Flags extends OpenFlags {
  readonly text: string
  readonly split?: string
  readonly context?: number
  readonly stride?: number
  readonly json?: boolean
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
    .option('--json', 'one JSON document')
  addCompileFlags(addDevice(command)).action((path: string, flags: Flags) => interruptible((signal) => evaluate(path, flags, signal)))
}

async function evaluate(path: string, flags: Flags, signal: AbortSignal): Promise<void> {
  const documents = documentsIn(readText(flags.text), flags.split)
  if (documents.length === 0) throw new LlamacError('E_TEXT', `${flags.text} holds no text`)
  await using model = await openModel(path, flags, signal)
  const { tokenizer } = model
  if (!tokenizer) throw new LlamacError('E_NO_TOKENIZER', 'the model has no tokenizer: compile it with --tokenizer')
  const context = Math.min(flags.context ?? Infinity, contextOf(model))
  const stride = flags.stride ?? Math.ceil(context / 2)
  if (stride > context)
    throw new UsageError(`--stride ${stride} is more than the ${context} tokens of a window: what lies between would be skipped`)
  let [nats, tokens, characters, bytes] = [0, 0, 0, 0]
  for (const text of documents) {
    const ids = tokenizer.encode(text)
    if (ids.length < 2) continue
    const found = await likelihoodOf(model, ids, { context, stride, signal })
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
  }
  if (flags.json) return printJson(result)
  print(
    [
      `perplexity ${result.perplexity.toPrecision(5)}: ${result.nll_per_token.toFixed(5)} nats per token over ${tokens} tokens`,
      `${result.nll_per_character.toFixed(5)} nats per character over ${characters}, ${result.bits_per_byte.toFixed(5)} bits per byte over ${bytes}`,
      `${documents.length} document${documents.length === 1 ? '' : 's'}, windows of ${context} tokens every ${stride}, on ${model.device}`,
    ].join('\n'),
  )
}

/** The documents of a file; those of nothing but blanks are left out. */
export function documentsIn(text: string, mark?: string): string[] {
  const parts = mark === undefined || mark === '' ? [text] : text.split(mark).map((part) => part.trim())
  return parts.filter((part) => part.trim() !== '')
}
