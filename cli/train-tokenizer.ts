// `llamac train-tokenizer`: byte-level BPE from texts, written as a Hugging Face tokenizer.json. Prints the file; the report
// says what came out of it, on the text it was trained on.

import { writeFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { LlamacError } from '../runtime/error.ts'
import { several, whole } from './flags.ts'
import { readText } from './read-text.ts'
import { note, print, printJson } from './report.ts'

interface Flags {
  readonly vocab: number
  readonly special?: readonly string[]
  readonly split: string
  readonly addBos?: boolean
  readonly output: string
  readonly json?: boolean
}

const splits = ['gpt2', 'llama3', 'qwen2', 'smollm']
const mostShown = 8

export function addTrainTokenizer(program: Command): void {
  program
    .command('train-tokenizer')
    .argument('<texts...>', 'UTF-8 files; nothing is merged across two of them')
    .description('trains a byte-level BPE tokenizer')
    .addOption(
      new Option('--vocab <n>', 'tokens to end with, special ones and 256 bytes included').argParser(whole(256)).makeOptionMandatory(),
    )
    .option('--special <text>', 'a token that is no part of the text; the first one is BOS and EOS; repeatable', several)
    .addOption(new Option('--split <rule>', 'how text is cut into words').choices(splits).default('gpt2'))
    .option('--add-bos', 'put BOS before every text')
    .option('-o, --output <file>', 'the tokenizer', 'tokenizer.json')
    .option('--json', 'one JSON document: vocabulary, merges, characters, tokens')
    .action(train)
}

async function train(files: readonly string[], { vocab, special = [], split, addBos = false, output, json }: Flags): Promise<void> {
  const [{ trainBpe }, { writeHfTokenizer }, { createTokenizer }] = await Promise.all([
    import('../compiler/weights/tokenizers/train-bpe.ts'),
    import('../compiler/weights/tokenizers/write-hf-json.ts'),
    import('../runtime/tokenizer/index.ts'),
  ])
  const texts = files.map(readText)
  const started = performance.now()
  const trained = trainBpe(texts, { vocabulary: vocab, special, split, addBos })
  const seconds = (performance.now() - started) / 1000
  try {
    writeFileSync(output, writeHfTokenizer(trained))
  } catch (cause) {
    throw new LlamacError('E_OUTPUT_FILE', `cannot write ${output}: ${(cause as Error).message}`, { cause })
  }
  const tokenizer = createTokenizer(trained)
  const characters = texts.reduce((sum, text) => sum + [...text].length, 0)
  const tokens = texts.reduce((sum, text) => sum + tokenizer.encode(text, { bos: false, special: true }).length, 0)
  const [vocabulary, merges] = [trained.pieces.length, trained.merges?.length ?? 0]
  if (json) return printJson({ file: output, vocabulary, merges, characters, tokens })
  note(`${vocabulary} tokens: ${special.length} special, 256 bytes, ${vocabulary - special.length - 256} merged, ${seconds.toFixed(1)} s`)
  if (vocabulary < vocab) note(`note: fewer than ${vocab}, because no pair is left that occurs twice`)
  if (tokens > 0)
    note(
      `${characters.toLocaleString('en-US')} characters are ${tokens.toLocaleString('en-US')} tokens, ${(characters / tokens).toFixed(2)} characters each`,
    )
  const longest = [...trained.pieces.keys()]
    .slice(special.length)
    .map((id) => tokenizer.decode([id]))
    .sort((a, b) => b.length - a.length)
    .slice(0, mostShown)
  note(`longest: ${longest.map((piece) => JSON.stringify(piece)).join(' ')}`)
  print(output)
}
