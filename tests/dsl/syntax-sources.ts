// The sources that the syntax tests share: every model and library file, and ways to damage them.

import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import type { Source } from '../../dsl/source.ts'
import { lexer } from '../../dsl/tokens.ts'

const folders = ['models', 'dsl/std'].map((name) => ({ name, url: new URL(`../../${name}/`, import.meta.url) }))

export const sources: readonly Source[] = folders.flatMap(({ name, url }) =>
  readdirSync(url)
    .filter((file) => file.endsWith('.dsl'))
    .map((file) => ({ path: `${name}/${file}`, text: readFileSync(new URL(file, url), 'utf8') })),
)

export const words = (text: string): string[] => lexer.tokenize(text).tokens.map(({ image }) => image)

/** A tree without its places, to compare meanings. */
export const withoutSpans = (tree: unknown): unknown =>
  JSON.parse(JSON.stringify(tree, (key, value) => (key === 'span' ? undefined : value)))

type Edit = (text: string) => string

const textEdit: fc.Arbitrary<Edit> = fc.oneof(
  fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(12)).map(
    ([at, n]): Edit =>
      (t) => {
        const from = Math.floor(at * t.length)
        return t.slice(0, from) + t.slice(from + n)
      },
  ),
  fc
    .tuple(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 6 }),
        fc.constantFrom('{', '}', '(', ')', '[', '"', '//', '///', '..', 'in ', ' when ', ' not -', '\n', '\r', '= ='),
      ),
    )
    .map(
      ([at, insert]): Edit =>
        (t) =>
          t.slice(0, Math.floor(at * t.length)) + insert + t.slice(Math.floor(at * t.length)),
    ),
  fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(30)).map(
    ([a, b, n]): Edit =>
      (t) => {
        const [i, j] = [Math.floor(Math.min(a, b) * t.length), Math.floor(Math.max(a, b) * t.length)]
        const m = Math.min(n, j - i)
        return t.slice(0, i) + t.slice(j, j + m) + t.slice(i + m, j) + t.slice(i, i + m) + t.slice(j + m)
      },
  ),
)

/** A model with one to six random deletions, insertions and swaps of stretches. */
export const damaged: fc.Arbitrary<string> = fc
  .tuple(fc.constantFrom(...sources), fc.array(textEdit, { minLength: 1, maxLength: 6 }))
  .map(([{ text }, edits]) => edits.reduce((t, edit) => edit(t), text))

/** A model with other blanks and line breaks between its tokens (and comments strewn in), which leaves the meaning alone. */
export const respaced: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom(...sources),
    fc.array(fc.constantFrom(' ', '  ', '    ', '\t', '\n', '\n\n\n', '\r\n', ' // said\n', '\n// said\n  ', '   '), {
      minLength: 7,
      maxLength: 40,
    }),
  )
  .map(([{ text }, gaps]) =>
    words(text)
      .map((word, i) => word + gaps[(i * 7 + (i >> 4)) % gaps.length])
      .join(''),
  )
