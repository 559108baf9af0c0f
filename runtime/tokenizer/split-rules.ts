// How byte-level BPE cuts text into words before merging, by the name that GGUF (`tokenizer.ggml.pre`) or an importer gives.
// Each rule is a list of patterns applied in turn: matches and the gaps between them are the words, and the next pattern sees
// each word alone. Patterns are those of the models' own tokenizer.json (and llama.cpp's table of them).
import { fail } from '../error-codes.ts'

export interface SplitRule {
  readonly patterns: readonly RegExp[]
  /** A word that is a token as a whole is taken without merging (Hugging Face's `ignore_merges`). */
  readonly wholeWords: boolean
}

const contraction = /'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])/.source
/** A run of spaces leaves its last one to the word that follows; line ends close the run. */
const spaces = /\s*[\r\n]+|\s+(?!\S)|\s+/.source
const gpt2 = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu
const modern = (digits: string): RegExp =>
  new RegExp(`${contraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${spaces}`, 'gu')

const rules = {
  gpt2: { patterns: [gpt2], wholeWords: false },
  llama3: { patterns: [modern('\\p{N}{1,3}')], wholeWords: true },
  qwen2: { patterns: [modern('\\p{N}')], wholeWords: false },
  /** Every digit is a word of its own, whatever is beside it. */
  smollm: { patterns: [/\p{N}/gu, gpt2], wholeWords: false },
} satisfies Record<string, SplitRule>

const aliases: Readonly<Record<string, keyof typeof rules>> = {
  default: 'gpt2',
  'gpt-2': 'gpt2',
  mpt: 'gpt2',
  olmo: 'gpt2',
  jais: 'gpt2',
  phi: 'gpt2',
  'phi-2': 'gpt2',
  'llama-bpe': 'llama3',
  'llama-v3': 'llama3',
  'llama-3': 'llama3',
  falcon3: 'llama3',
  'deepseek-r1-qwen': 'qwen2',
  stablelm2: 'qwen2',
  megrez: 'qwen2',
  starcoder: 'smollm',
  refact: 'smollm',
  'command-r': 'smollm',
  codeshell: 'smollm',
  exaone: 'smollm',
}

/** The names that `splitRule` accepts. */
export const splitNames: readonly string[] = [...Object.keys(rules), ...Object.keys(aliases)]

/** E_TOKENIZER for an unknown name: a wrong rule would give plausible but wrong ids. */
export function splitRule(name: string): SplitRule {
  const key = Object.hasOwn(aliases, name) ? aliases[name]! : name
  if (!Object.hasOwn(rules, key)) fail('E_TOKENIZER', `unknown splitting rule ${JSON.stringify(name)}; known: ${splitNames.join(', ')}`)
  return rules[key as keyof typeof rules]
}

/** The words of a text, in order; their concatenation is the text. */
export function splitWords(text: string, rule: SplitRule): string[] {
  let words = text === '' ? [] : [text]
  for (const pattern of rule.patterns) {
    const finer: string[] = []
    for (const word of words) {
      let at = 0
      for (const match of word.matchAll(pattern)) {
        if (match.index > at) finer.push(word.slice(at, match.index))
        finer.push(match[0])
        at = match.index + match[0].length
      }
      if (at < word.length) finer.push(word.slice(at))
    }
    words = finer
  }
  return words
}
