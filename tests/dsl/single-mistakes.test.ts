// One mistake gives one error near its place: 1,000 random single-token mistakes in the models and the library, seed printed. A
// mistake without an error must have made another valid program: it parses, checks, is given numbers, binds its own tables and
// elaborates into a listener that recomputes every type, and what differs in the tree is something an author may write freely.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Label } from '../../dsl/diagnostics.ts'
import { position } from '../../dsl/source.ts'
import { contextualWords, reservedWords } from '../../dsl/tokens.ts'
import { check } from './read-models.ts'
import { type Mistake, mistake, outcome, type Outcome, whyValid } from './single-mistakes.ts'

const mistakes = Number(process.env['LLAMAC_MISTAKES'] ?? 1000)
const seed = Number(process.env['LLAMAC_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

const lineOf = (text: string, offset: number): number => text.slice(0, offset).split('\n').length

/** Within two lines of the stretch that was changed (a swap may reach over a line break). */
function isNear({ path, text, offset, now }: Mistake, label: Label | undefined): boolean {
  if (label?.span.source.path !== path) return false
  const { line } = position(label.span.source, label.span.start)
  return lineOf(text, offset) - 2 <= line && line <= lineOf(text, offset + now.length) + 2
}

const describeOne = (m: Mistake, { errors }: Outcome): string =>
  `${m.entry === m.path ? '' : `${m.entry} imports `}${m.path}:${lineOf(m.text, m.offset)} ${m.kind} \`${m.was}\` → \`${m.now}\`${errors
    .slice(0, 5)
    .map((d) => `\n    ${d.code} ${d.message}`)
    .join('')}`

test(`of ${mistakes} single-token mistakes nearly all give exactly one error, near the place`, () => {
  const count = new Map<string, number>()
  const add = (what: string): void => void count.set(what, (count.get(what) ?? 0) + 1)
  const unexplained: string[] = []
  const others: string[] = []
  let [invalid, good, pointed, words, named] = [0, 0, 0, 0, 0]
  for (const m of fc.sample(mistake, { numRuns: mistakes, seed })) {
    const found = outcome(m)
    const { errors } = found
    if (errors.length === 0) {
      const why = whyValid(m)
      add(`no error: ${why ?? 'UNEXPLAINED'}`)
      if (why === undefined) unexplained.push(describeOne(m, found))
      continue
    }
    invalid++
    const [first] = errors
    const near = errors.length === 1 && isNear(m, first?.labels[0])
    const byLabel = errors.length === 1 && !near && first?.labels.some((label) => isNear(m, label)) === true
    if (near) good++
    if (byLabel) pointed++
    add(
      `${m.kind}: ${near ? 'one error near the place' : byLabel ? 'one error elsewhere that points to the place' : errors.length === 1 ? 'one error far away' : 'several errors'}`,
    )
    if (!near && !byLabel) others.push(describeOne(m, found))
    if (m.kind === 'misspelt' && ([...reservedWords, ...contextualWords] as string[]).includes(m.was)) {
      words++
      if (errors.some(({ help, message }) => `${help} ${message}`.includes(m.was))) named++
      else others.push(describeOne(m, found))
    }
  }
  const share = (n: number, of: number): string => `${n} of ${of} (${((100 * n) / of).toFixed(1)} %)`
  console.log(
    [
      `single mistakes, seed ${seed} (LLAMAC_SEED): ${mistakes} of which ${invalid} make the program wrong`,
      ...[...count].sort().map(([what, n]) => `  ${String(n).padStart(5)}  ${what}`),
      `  exactly one error, within two lines: ${share(good, invalid)}; or pointing there: ${share(good + pointed, invalid)}`,
      `  misspelt words of the language whose word is offered: ${share(named, words)}`,
      ...others.map((text) => `  ${text}`),
    ].join('\n'),
  )
  expect(unexplained).toEqual([])
  expect(good / invalid).toBeGreaterThanOrEqual(0.9)
  expect((good + pointed) / invalid).toBeGreaterThanOrEqual(0.95)
})

describe('two mistakes give two errors', () => {
  const file = (a: string, b: string): string => `module test
config C { embed: dim = 4  heads: dim = 2 }
block A uses C {
  weight w: [embed]
  fn f(x: real[s, embed]) -> real[s, embed] { ${a} }
  fn g(x: real[s, embed]) -> real[s, embed] { ${b} }
}`
  test.each([
    ['in two functions', 'return x * ww', 'return dot(x, w, over: heads)', ['L201', 'L301']],
    ['in two statements', 'let a = sum(x, over: heads)  let b = y * 2.0  return x', 'return x', ['L301', 'L201']],
    ['in a result and elsewhere', 'return sum(x, over: embed)', 'return x + nothing', ['L313', 'L201']],
    ['in two members', 'let a = (x + ) return x', 'return x + + x', ['L101', 'L101']],
  ])('%s', (_, a, b, codes) => expect(check(file(a, b)).map((d) => d.code)).toEqual(codes))
})
