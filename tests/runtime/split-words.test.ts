// Splitting rules against their definition: the regular expressions of each model's tokenizer.json (or, where it has other steps,
// llama.cpp's), run as such by the engine. And their cost: no text makes a rule look at it again and again.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { families, splitRule } from '../../compiler/weights/tokenizers/split-rules.ts'
import { createSplitter } from '../../runtime/tokenizer/split-words.ts'
import { monotonous, trickyText } from './tricky-texts.ts'

const gpt2 = families['gpt2']!.patterns![0]![0]!
const qwen2 = families['qwen2']!.patterns![0]![0]!
const contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
const [upper, lower] = ['\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}', '\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}']
const cased = (number: string, ends: string, [up, low] = [`[${upper}]`, `[${lower}]`]): string => {
  const before = '[^\\r\\n\\p{L}\\p{N}]?'
  return `${before}${up}*${low}+${contraction}?|${before}${up}+${low}*${contraction}?|${number}| ?[^\\s\\p{L}\\p{N}]+[${ends}]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`
}
const kana = '一-龥\u3040-ゟ゠-ヿ'

/** Families whose tokenizer.json is not in the table of patterns, and Bloom's, whose class in a class JavaScript reads otherwise. */
const others: Readonly<Record<string, readonly string[]>> = {
  youtu: [`[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，\u3001-\u303f\ufe30-\ufe4f]+|[ㄅ-ㄯ]+|[${kana}]+`, cased('\\p{N}', '\\r\\n/')],
  'kimi-k2': [
    `\\p{Script=Han}+|${cased('\\p{N}{1,3}', '\\r\\n', [`(?:(?!\\p{Script=Han})[${upper}])`, `(?:(?!\\p{Script=Han})[${lower}])`])}`,
  ],
  ufakzeka: [qwen2.replace(`${contraction}|`, '')],
  'seed-coder': [`${contraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`],
  bailingmoe: [
    "(?i:'[sdmt]|'ll|'ve|'re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
  ],
  minicpm5: ['\\p{N}{1,3}', qwen2.replace('\\p{N}|', '\\p{N}+|')],
  laguna: ['[^\\n]+|[\\n]+', qwen2],
  falcon: ['[\\p{P}\\$\\+<=>\\^~\\|`]+', gpt2, '[0-9][0-9][0-9]'],
  bloom: [' ?[^(\\s|.,!?…。，、।۔،)]+'],
  viking: [' ?[^(\\s|.,!?…。，、।۔،)]+', '\\p{N}'],
  chameleon: ['([\\t\\n]|    |  )', '\\p{N}', '[\\p{P}!-\\/:-@\\[-`{-~]', gpt2],
  default: ['[\\p{P}\\$\\+<=>\\^~\\|]+', gpt2, '\\p{N}+', '[0-9][0-9][0-9]'],
}

/** Onigmo's white space is Unicode's, JavaScript's is not. */
const expression = (pattern: string): RegExp =>
  new RegExp(pattern.replaceAll('\\s', '\\p{White_Space}').replaceAll('\\S', '\\P{White_Space}'), 'gu')

function splitByExpressions(text: string, patterns: readonly RegExp[]): string[] {
  let words = text === '' ? [] : [text]
  for (const pattern of patterns) {
    words = words.flatMap((word) => {
      const finer: string[] = []
      let at = 0
      for (const match of word.matchAll(pattern)) {
        finer.push(word.slice(at, match.index), match[0])
        at = match.index + match[0].length
      }
      return [...finer, word.slice(at)].filter((each) => each !== '')
    })
  }
  return words
}

describe('a rule cuts as its regular expressions do', () => {
  test.each(Object.entries(families).map(([name, { patterns }]) => [name, others[name] ?? patterns![0]!] as const))(
    '%s',
    (name, patterns) => {
      const split = createSplitter(splitRule(name))
      const expressions = patterns.map(expression)
      fc.assert(
        fc.property(trickyText, (text) => {
          const words = split(text)
          expect(words).toEqual(splitByExpressions(text, expressions))
          expect(words.join('')).toBe(text)
        }),
        { numRuns: 400 },
      )
    },
  )
})

test('texts that make a rule start in vain everywhere cost no more than their length', () => {
  // Each makes some expression scan to the end of a run and fail: quadratic where that is done from each place of the run.
  const n = 100_000
  const texts = [
    `${' '.repeat(n)}a`,
    'A'.repeat(n),
    `ʰ${'A'.repeat(n)}`,
    ' \n'.repeat(n),
    `${'\u0301'.repeat(n)}1`,
    `a${' '.repeat(n)}b `,
    "'".repeat(n),
  ]
  for (const name of Object.keys(families)) {
    const split = createSplitter(splitRule(name))
    for (const text of [...texts, ...monotonous.map((each) => each.repeat(n / 10))]) {
      const started = process.cpuUsage()
      split(text)
      // Measured: below 50 ms. Quadratic work takes minutes.
      expect(process.cpuUsage(started).user / 1e6, `${name}: ${JSON.stringify(text.slice(0, 4))}`).toBeLessThan(5)
    }
  }
})
