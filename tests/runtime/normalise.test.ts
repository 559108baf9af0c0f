// Normalisation against the engine's own, and in linear time where the engine's is not.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { normalForm } from '../../runtime/tokenizer/normal-form.ts'
import { createNormaliser } from '../../runtime/tokenizer/normalise.ts'
import { trickyText } from './tricky-texts.ts'

/** Marks of many combining classes, of class 0, and some that decompose into several. */
const marks = [
  '\u0301',
  '\u0327',
  '\u0323',
  '\u0334',
  '\u0345',
  '\u0344',
  '\u05b0',
  '\u0f73',
  '\u302e',
  '\u0903',
  '\u20d0',
  '\u{1d165}',
  '\u{1e8d0}',
]
const forms = ['NFC', 'NFD', 'NFKC', 'NFKD'] as const

test('normal forms of texts with long runs of marks are the engine’s', () => {
  const run = fc.array(fc.oneof(fc.constantFrom(...marks), fc.constantFrom('\u0301', '\u0327')), { minLength: 50, maxLength: 150 })
  const text = fc.tuple(trickyText, run, trickyText).map(([before, inside, after]) => before + inside.join('') + after)
  fc.assert(
    fc.property(fc.constantFrom(...forms), text, (form, value) => {
      expect(normalForm(value, form)).toBe(value.normalize(form))
    }),
    { numRuns: 300 },
  )
})

test('200,000 marks that are out of order', () => {
  const started = process.cpuUsage()
  for (const form of forms)
    expect(normalForm(`a${'\u0301\u0327'.repeat(1e5)}`, form)).toHaveLength(form === 'NFC' || form === 'NFKC' ? 2e5 - 1 + 1 : 2e5 + 1)
  // Measured: 0.4 s. The engine alone takes half a minute for each.
  expect(process.cpuUsage(started).user / 1e6).toBeLessThan(10)
})

test.each<[Parameters<typeof createNormaliser>[0], string, string]>([
  [['lowercase'], 'ΑΣ İ ẞ', 'ασ i̇ ß'],
  [['strip-accents'], 'é ñ e\u0301 İ 가', 'e n e I 가'.normalize('NFD')],
  [['clean'], 'a\u0000b\tc\u200bd\u00a0e\ufffdf\u0085g\nh', 'ab cd ef g h'.replace('f g', 'fg')],
  [['space-ideographs'], 'a中b文', 'a 中 b 文 '],
  [['strip'], ' \u3000a b \n', 'a b'],
  [[{ replace: '``', by: '"' }, 'nfc'], '``e\u0301$&', '"é$&'],
])('%j: %j', (steps, from, to) => {
  expect(createNormaliser(steps)(from)).toBe(to)
})

test('a step that is not known is refused', () => {
  expect(() => createNormaliser(['constructor' as 'nfc'])).toThrow(/needs a newer runtime/)
})
