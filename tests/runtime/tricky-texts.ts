// Random texts for tokenizers: pieces of words, digits, white space of every kind, marks, scripts and symbols at which splitting rules and
// normalisations differ, mixed with any characters at all.

import fc from 'fast-check'

const fragments = [
  ...['a', 'B', 'the', 'The ', 'Hello', 'hello world', 'camelCase', 'HTTPServer', 'ABC', 'iPhone', "don't", 'http://x.y/z?q=1'],
  ...[' ', '  ', '    ', '\n', '\n\n', '\r\n', '\t', '\r', '  \n  ', 'x  ', '\n x', '\u00a0', '\u0085', '\u2028', '\u3000', '\ufeff'],
  ...[
    '.',
    '...',
    '!',
    '?',
    ',',
    "'",
    "'s",
    "'S",
    "'ll",
    "'RE",
    "'ſ",
    '$',
    '+<=>',
    '^`|~',
    '_',
    '--',
    '//',
    '\\',
    '(',
    ')',
    '#',
    '“',
    '…',
    '—',
  ],
  ...['1', '12', '123', '1234567', '½', 'Ⅳ', '²', '१२'],
  ...[
    'é',
    'e\u0301',
    '\u0301',
    '\u0327\u0301',
    'ß',
    'ẞ',
    'İ',
    'Σ',
    'ΑΣ',
    'ς',
    'ǅ',
    'ა',
    'Ა',
    'Ж',
    'ª',
    'ʰ',
    'ﬁ',
    'Ａ',
    '\u{10400}',
    '\u{10428}',
  ],
  ...['中', '文字', '日本', 'ひらがな', 'カタカナ', '한국', 'नमस्ते', 'ไทย', 'العربية', '\u{20000}', '\u{2b820}'],
  ...['😀', '👩‍👩‍👧', '🇩🇪', '\u200b', '\u200d', '\0', '\x07', '\x7f', '\u{e0001}', '\ue000', '\ufffd', '<s>', '[CLS]', '<|im_end|>'],
]

/** Well-formed texts. */
export const trickyText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom(...fragments) },
      { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 1, maxLength: 2 }) },
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''))

/** Characters that make a text without words, or a single one. */
export const monotonous: readonly string[] = ['a', ' ', '\n', '7', '.', 'é', '中', '😀', '\u0301', '\t', "'", '\0']
