// The families of byte-level BPE by how they cut text into words, as data for the runtime (runtime/tokenizer/split-words.ts). Source: each
// model's tokenizer.json, and llama.cpp's table of them (src/llama-vocab.cpp) where it has one of its own. Where llama.cpp simplified a
// model's classes (tekken, gpt-4o: ASCII letters only), the model's own are taken. `pattern` is what the family's pre-tokenizer says in
// tokenizer.json (pre-tokenizers.ts); tests hold every rule to its pattern, run as a regular expression.
// A family that is not here is refused by name: a similar one gives plausible but wrong ids.

import type { SplitRule, WordShape } from '../../../runtime/tokenizer/compact.ts'
import { LlamacError } from '../../../runtime/error.ts'

/** The steps of a pre-tokenizer as regular expressions. */
export type Pattern = readonly string[]

export interface Family {
  readonly stages: readonly (readonly WordShape[])[]
  /** What tokenizer.json says: one or several spellings. */
  readonly patterns?: readonly Pattern[]
}

const [letter, number, blank] = ['\\p{L}', '\\p{N}', ' ']
const contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"]
/** Capitals with what has no case, and small letters with what has none: marks belong to both. */
const [upper, lower] = ['\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}', '\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}']
const asciiPunctuation = '!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~'

const run = (of: string, more: Omit<Extract<WordShape, { take: 'run' }>, 'take' | 'of'> = {}): WordShape => ({ take: 'run', of, ...more })
const digits = (most?: number): WordShape => run(number, most === undefined ? {} : { most })
const spaces: readonly WordShape[] = [{ take: 'spaces-before' }, { take: 'spaces' }]
const lines: WordShape = { take: 'lines' }
const anyContraction: WordShape = { take: 'text', texts: contractions, anyCase: true }

const gpt2: readonly WordShape[] = [
  { take: 'text', texts: contractions },
  run(letter, { before: blank }),
  run(number, { before: blank }),
  run('^\\p{White_Space}\\p{L}\\p{N}', { before: blank }),
  ...spaces,
]
const gpt2Pattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/** Llama 3's rule, which many share but for how many digits are together. */
const modern = (number: WordShape): readonly WordShape[] => [
  anyContraction,
  run(letter, { before: '^\\r\\n\\p{L}\\p{N}' }),
  number,
  run('^\\p{White_Space}\\p{L}\\p{N}', { before: blank, after: '\\r\\n' }),
  lines,
  ...spaces,
]
const modernPattern = (number: string): string =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${number}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`

/** GPT-4o's rule: a capital begins a word. */
const cased = (number: WordShape, tail?: readonly string[], capital = upper, small = lower): readonly WordShape[] => [
  { take: 'cased', before: '^\\r\\n\\p{L}\\p{N}', upper: capital, lower: small, ...(tail ? { tail } : {}) },
  number,
  run('^\\p{White_Space}\\p{L}\\p{N}', { before: blank, after: '\\r\\n/' }),
  lines,
  ...spaces,
]
const casedPattern = (number: string, tail: string): string => {
  const before = '[^\\r\\n\\p{L}\\p{N}]?'
  return `${before}[${upper}]*[${lower}]+${tail}|${before}[${upper}]+[${lower}]*${tail}|${number}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`
}
const optionalContraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"

/** Letters with case as DeepSeek's first tokenizers list them. */
const deepseekLetters =
  'A-Za-z\\xb5\\xc0-\\xd6\\xd8-\\xf6\\xf8-\\u01ba\\u01bc-\\u01bf\\u01c4-\\u0293\\u0295-\\u02af\\u0370-\\u0373\\u0376\\u0377\\u037b-\\u037d' +
  '\\u037f\\u0386\\u0388-\\u038a\\u038c\\u038e-\\u03a1\\u03a3-\\u03f5\\u03f7-\\u0481\\u048a-\\u052f\\u0531-\\u0556\\u10a0-\\u10c5\\u13a0-\\u13f5' +
  '\\u13f8-\\u13fd\\u1c90-\\u1cba\\u1cbd-\\u1cbf\\u1d00-\\u1d2b\\u1d6b-\\u1d77\\u1d79-\\u1d9a\\u1e00-\\u1f15\\u1f18-\\u1f1d\\u1f20-\\u1f45' +
  '\\u1f48-\\u1f4d\\u1f50-\\u1f57\\u1f59\\u1f5b\\u1f5d\\u1f5f-\\u1f7d\\u1f80-\\u1fb4\\u1fb6-\\u1fbc\\u1fbe\\u1fc2-\\u1fc4\\u1fc6-\\u1fcc' +
  '\\u1fd0-\\u1fd3\\u1fd6-\\u1fdb\\u1fe0-\\u1fec\\u1ff2-\\u1ff4\\u1ff6-\\u1ffc\\u2102\\u2107\\u210a-\\u2113\\u2115\\u2119-\\u211d\\u2124\\u2126' +
  '\\u2128\\u212a-\\u212d\\u212f-\\u2134\\u2139\\u213c-\\u213f\\u2145-\\u2149\\u214e\\u2183\\u2184\\u2c00-\\u2c7b\\u2c7e-\\u2ce4\\u2ceb-\\u2cee' +
  '\\u2cf2\\u2cf3\\ua640-\\ua66d\\ua680-\\ua69b\\ua722-\\ua76f\\ua771-\\ua787\\ua78b-\\ua78e\\uab70-\\uabbf\\ufb00-\\ufb06\\ufb13-\\ufb17' +
  '\\uff21-\\uff3a\\uff41-\\uff5a\\u{10400}-\\u{1044f}\\u{104b0}-\\u{104d3}\\u{104d8}-\\u{104fb}\\u{10c80}-\\u{10cb2}\\u{10cc0}-\\u{10cf2}' +
  '\\u{118a0}-\\u{118df}\\u{1e900}-\\u{1e943}'
const cjk = '\\u4e00-\\u9fa5\\u0800-\\u4e00\\uac00-\\ud7ff'
const kana = '\\u4e00-\\u9fa5\\u3040-\\u309f\\u30a0-\\u30ff'
/** DeepSeek V3's last stage. */
const deepseek3: readonly WordShape[] = [
  run('A-Za-z', { need: asciiPunctuation }),
  run('\\p{L}\\p{M}', { before: '^\\r\\n\\p{L}\\p{P}\\p{S}' }),
  run('\\p{P}\\p{S}', { before: blank, after: '\\r\\n' }),
  lines,
  ...spaces,
]
const deepseek3Pattern = (ends: string): string =>
  `[${asciiPunctuation}][A-Za-z]+|[^${ends}\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[${ends}]*|\\s*[${ends}]+|\\s+(?!\\S)|\\s+`
const lineEnd = run('\\r\\n', { most: 1 })
const threeDigits = run('0-9', { least: 3, most: 3 })
const bloom = run('^(\\p{White_Space}|.,!?…。，、।۔،)', { before: blank })
const notHan = (set: string): string => `${set}--\\p{Script=Han}`
/** A class as files write it: with the characters themselves. */
const literal = (set: string): string =>
  set.replace(/\\(?:x(..)|u(?:\{(\w+)\}|(\w{4})))/g, (_, byte, wide, four) =>
    String.fromCodePoint(Number.parseInt(byte ?? wide ?? four, 16)),
  )

const table = {
  gpt2: { stages: [gpt2], patterns: [[gpt2Pattern]] },
  llama3: { stages: [modern(digits(3))], patterns: [[modernPattern('\\p{N}{1,3}')]] },
  qwen2: { stages: [modern(digits(1))], patterns: [[modernPattern('\\p{N}')]] },
  /** Every digit is a word of its own, whatever is beside it. */
  smollm: { stages: [[digits(1)], gpt2], patterns: [['\\p{N}', gpt2Pattern]] },
  qwen35: {
    stages: [
      [
        anyContraction,
        run('\\p{L}\\p{M}', { before: '^\\r\\n\\p{L}\\p{N}' }),
        digits(1),
        run('^\\p{White_Space}\\p{L}\\p{M}\\p{N}', { before: blank, after: '\\r\\n' }),
        lines,
        ...spaces,
      ],
    ],
    patterns: [
      [
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
      ],
    ],
  },
  tekken: { stages: [cased(digits(1))], patterns: [[casedPattern('\\p{N}', '')]] },
  'gpt-4o': { stages: [cased(digits(3), contractions)], patterns: [[casedPattern('\\p{N}{1,3}', optionalContraction)]] },
  'deepseek-llm': {
    stages: [
      [lineEnd],
      [run(deepseekLetters, { before: '\\p{White_Space}' })],
      [run('!-\\/:-~！-／：-～‘-‟\\u3000-。', { before: '\\p{White_Space}' })],
      [{ take: 'spaces-at-end' }],
      [run(cjk)],
      [digits(1)],
    ],
    patterns: [
      ['[\r\n]', `\\s?[${literal(deepseekLetters)}]+`, '\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+', '\\s+$', `[${literal(cjk)}]+`, '\\p{N}'],
    ],
  },
  'deepseek-coder': {
    stages: [
      [lineEnd],
      [run(letter, { before: '\\p{White_Space}' })],
      [run('\\p{P}', { before: '\\p{White_Space}' })],
      [run(cjk)],
      [digits(1)],
    ],
    patterns: [['[\r\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', `[${literal(cjk)}]+`, '\\p{N}']],
  },
  'deepseek-v3': {
    stages: [[digits(3)], [run(kana)], deepseek3],
    patterns: [['\\p{N}{1,3}', `[${literal(kana)}]+`, deepseek3Pattern('\r\n')]],
  },
  'kimi-k2': {
    stages: [
      [
        run('\\p{Script=Han}'),
        ...cased(digits(3), contractions, notHan(upper), notHan(lower)).map((shape) =>
          shape.take === 'run' && shape.after ? { ...shape, after: '\\r\\n' } : shape,
        ),
      ],
    ],
  },
  youtu: {
    stages: [
      [run('가-힣ㄱ-ㆎ'), run('！…“”‘’—：；，\\u3001-\\u303f\\ufe30-\\ufe4f'), run('ㄅ-ㄯ'), run(kana)],
      cased(digits(1), contractions),
    ],
  },
  /** No step for contractions of English. */
  ufakzeka: { stages: [modern(digits(1)).slice(1)] },
  'seed-coder': {
    stages: [modern(digits(1)).map((shape) => (shape.take === 'run' && shape.after ? run(shape.of, { before: blank }) : shape))],
  },
  bailingmoe: {
    // The same contractions in another order: none begins another.
    stages: [modern(digits(1))],
  },
  minicpm5: { stages: [[digits(3)], modern(digits())] },
  laguna: { stages: [[run('^\\n'), run('\\n')], modern(digits(1))] },
  falcon: { stages: [[run('\\p{P}$+<=>^~|`')], gpt2, [threeDigits]] },
  bloom: { stages: [[bloom]], patterns: [[' ?[^(\\s|[.,!?…。，、।۔،])]+']] },
  viking: { stages: [[bloom], [digits(1)]] },
  chameleon: {
    stages: [[{ take: 'text', texts: ['\t', '\n', '    ', '  '] }], [digits(1)], [run('\\p{P}!-\\/:-@\\[-`{-~', { most: 1 })], gpt2],
  },
  /** What llama.cpp does for a file that does not say: close to no model's own. */
  default: { stages: [[run('\\p{P}$+<=>^~|')], gpt2, [digits()], [threeDigits]] },
} satisfies Record<string, Family>

export const families: Readonly<Record<string, Family>> = table

/** E_TOKENIZER_SPLIT for an unknown name. `wholeWords` is a property of the model, not of the cutting. */
export function splitRule(name: string, wholeWords = name === 'llama3'): SplitRule {
  if (!Object.hasOwn(families, name))
    throw new LlamacError('E_TOKENIZER_SPLIT', `unknown splitting rule ${JSON.stringify(name)}; known: ${Object.keys(families).join(', ')}`)
  return { name, stages: families[name]!.stages, wholeWords }
}
