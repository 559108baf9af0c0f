import { ModelParser } from '../../dsl/grammar.ts'
import { Lexer } from 'chevrotain'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Expr, OpDecl } from '../../dsl/ast.ts'
import { codes } from '../../dsl/codes.ts'
import { parse } from '../../dsl/parse.ts'
import { position } from '../../dsl/source.ts'
import type { Span } from '../../dsl/source.ts'
import { contextualWords, lexer, tokenTypes } from '../../dsl/tokens.ts'
import { damaged, respaced, sources, withoutSpans, words } from './syntax-sources.ts'

const parseText = (text: string) => parse({ path: 'test.dsl', text })
const codesOf = (text: string) => parseText(text).diagnostics.map(({ code }) => code)

/** The expression as fully bracketed text. */
function shape(e: Expr): string {
  switch (e.kind) {
    case 'name':
      return e.name
    case 'number':
      return String(e.value)
    case 'unary':
      return `(${e.op} ${shape(e.value)})`
    case 'binary':
      return `(${shape(e.left)} ${e.op} ${shape(e.right)})`
    case 'call':
      return `${shape(e.callee)}<${[...(e.piped ? [e.piped] : []), ...e.args.map((a) => ('value' in a ? a.value : 'size' in a ? a.size : a.from))].map(shape).join(' ')}>`
    case 'index':
      return `${shape(e.of)}[${e.indices.map((i) => `${i.label ? `${i.label.text}:` : ''}${shape(i.from)}${i.range ? `${i.range.kind}${shape(i.range.to)}` : ''}`).join(' ')}]`
    case 'member':
      return `${shape(e.of)}.${e.name.text}`
    default:
      return e.kind
  }
}

function expression(text: string): string {
  const { tree, diagnostics } = parseText(`module m op f() -> T { return ${text} }`)
  const statement = (tree?.declarations[0] as OpDecl | undefined)?.body[0]
  return statement?.kind === 'return' ? shape(statement.value) : diagnostics.map(({ code }) => code).join()
}

/** Every span of the tree with the text it should have, if it is a name. */
function* spans(value: unknown, inside?: Span): Generator<{ span: Span; inside: Span | undefined; text: string | undefined }> {
  if (typeof value !== 'object' || value === null) return
  const { span, text, kind, name } = value as { span?: Span; text?: string; kind?: string; name?: string }
  if (span) yield { span, inside, text: kind === undefined ? text : kind === 'name' ? name : undefined }
  for (const [key, inner] of Object.entries(value)) if (key !== 'span') yield* spans(inner, span ?? inside)
}

describe('parse', () => {
  it('accepts every model and library file', () => {
    expect(sources.length).toBeGreaterThanOrEqual(16)
    expect(sources.flatMap((source) => parse(source).diagnostics)).toEqual([])
  })

  it('gives exact, nested spans', () => {
    for (const source of sources) {
      for (const { span, inside, text } of spans(parse(source).tree)) {
        const written = source.text.slice(span.start, span.end)
        expect(written).toBe(written.trim())
        if (text !== undefined) expect(written).toBe(text)
        if (inside) expect(inside.start <= span.start && span.end <= inside.end).toBe(true)
      }
    }
  })

  it.each([
    ['a + b * c - d', '((a + (b * c)) - d)'],
    ['not a and b or c in d', '(((not a) and b) or (c in d))'],
    ['-a[x: 0 ..+ n - 1](b).c * -2', '((- a[x:0..+(n - 1)]<b>.c) * (- 2))'],
    ['((a)) |> f(b) |> g()', 'g<f<a b>>'],
    ['a >= b and c - d < e', '((a >= b) and ((c - d) < e))'],
    ['x[a: 1 .. 2, in]', 'x[a:1..2 in]'],
    ['in in in', '(in in in)'],
  ])('%s is %s', (text, meaning) => expect(expression(text)).toBe(meaning))

  it('lets contextual words be names everywhere', () => {
    for (const w of contextualWords) {
      const text = `module ${w}
        import ${w} { ${w} }
        config ${w} { ${w}: dim = ${w} + 1 @hf("x") ${w} = 2 }
        op ${w}(${w}: T[..${w}]) -> T[${w} = 2] { let ${w} = ${w}(${w}) ${w} = ${w} in [1] ${w}(${w}: ${w}) return ${w} }
        model ${w} uses ${w} {
          weight ${w}: [${w}] tied ${w} when ${w}
          part ${w}[${w} < 3]: ${w}() when ${w}
          replace ${w} with ${w} in ${w}
          drop ${w}
          runtime ${w}: 1 ..= 2
          entry ${w} = ${w} with ${w} = 1, ${w} = 2
          checkpoint ${w} { ${w}[i].${w} <- "x" inherit ${w} ignore "x" expect "y" = ${w} ${w} <- "x" |> ${w} when ${w} ${w}.x, ${w} <- "x" }
          preset "x" { ${w} = ${w} ${w} = 1 }
        }`
      expect(parseText(text).diagnostics).toEqual([])
    }
  })

  it('attaches doc comments to what follows', () => {
    const { tree, diagnostics } = parseText(
      'module m\n/// one\n///  two\n\nop f() -> T { return 1 }\nblock B {\n  /// three\n  override fn g() { }\n}\n/// lost',
    )
    expect(tree?.declarations[0]?.doc).toBe('one\n two')
    expect(tree?.declarations[1]).toMatchObject({ members: [{ doc: 'three', override: true }] })
    expect(diagnostics.map(({ code, severity }) => [code, severity])).toEqual([['L110', 'warning']])
  })

  const mistakes: [string, string[]][] = [
    ['module m config C { state: dim = 3 }', ['L104']],
    ['module m op f(x: T) -> T { let weight = 3 return x }', ['L104']],
    ['module m config C { x: dim = 12ab }', ['L106']],
    ['module m config C { x: dim = 99999999999999999999 }', ['L106']],
    ['module m config C { x: text = "a\\q" y }', ['L107', 'L109']],
    ['module m config C { x: text = "a }', ['L103']],
    ['module m config C { é: dim }', ['L102']],
    ['module m op f(x: T) -> T { x + 1 return x }', ['L101']],
    ['module m op f(x: T) -> T { x x[1] return x }', ['L108']],
    ['module m block B { fn f() { let x = (a + ) } weight y [a] weight z: [a] part }', ['L101', 'L101', 'L101']],
    [`module m op f() -> T { return ${'('.repeat(20000)} }`, ['L105']],
    [`module m op f() -> T { return ${'-'.repeat(20000)}1 }`, ['L105']],
    [`module m op f() -> T { return 1${' + 1'.repeat(20000)} }`, ['L105']],
    [' '.repeat(250_001), ['L100']],
    [`module m config C { x = "${'\\"'.repeat(100_000)}`, ['L103']],
  ]
  it.each(mistakes.map(([text, wanted]) => [text.slice(0, 70), text, wanted] as const))('finds what is wrong in %s', (_, text, wanted) =>
    expect(codesOf(text)).toEqual(wanted),
  )

  it('names the misspelt word and the bracket that is open', () => {
    expect(parseText('module m block B { wieght y: [a] }').diagnostics[0]?.help).toContain('weight')
    expect(parseText('module m op f() -> T { retrun(x) retrun y }').diagnostics[0]?.help).toContain('return')
    expect(parseText('module m\nblock B {\n fn f() { let x = a\n weight y: [a]\n}').diagnostics[0]?.labels[1]?.text).toBe('opened here')
  })

  it('gives one error near a single typo', () => {
    const place = fc.constantFrom(...sources).chain((source) => {
      const { tokens } = lexer.tokenize(source.text)
      return fc.tuple(fc.constant(source), fc.constantFrom(...tokens), fc.constantFrom('drop', 'double', 'misspell'))
    })
    fc.assert(
      fc.property(place, ([source, { startOffset, image }, how]) => {
        const changed = { drop: '', double: `${image} ${image}`, misspell: `${image.slice(0, -1)}q` }[how]
        const text = source.text.slice(0, startOffset) + changed + source.text.slice(startOffset + image.length)
        const { diagnostics } = parseText(text)
        expect(diagnostics.length).toBeLessThanOrEqual(how === 'misspell' && image.startsWith('"') ? 2 : 1)
        for (const { labels } of diagnostics) {
          const { span } = labels[0] as { span: Span }
          expect(Math.abs(position(span.source, span.start).line - position(span.source, startOffset).line)).toBeLessThanOrEqual(5)
        }
      }),
      { numRuns: 400 },
    )
  })

  it('never throws, and gives a tree or an error', () => {
    fc.assert(
      fc.property(fc.oneof(damaged, fc.string({ unit: 'binary' })), (text) => {
        const { tree, diagnostics } = parseText(text)
        expect(tree === undefined).toBe(diagnostics.some(({ severity }) => severity === 'error'))
        for (const { code, labels } of diagnostics) {
          expect(codes).toHaveProperty(code)
          for (const { span } of labels) expect(0 <= span.start && span.start <= span.end && span.end <= text.length).toBe(true)
        }
      }),
      { numRuns: 400 },
    )
  })

  it('reads the same tree however the tokens are spaced', () => {
    const trees = new Map(sources.map((source) => [words(source.text).join(' '), withoutSpans({ ...parse(source).tree })]))
    const withoutDocs = (tree: unknown) => JSON.stringify(tree, (key, value) => (key === 'doc' ? undefined : value))
    fc.assert(
      fc.property(respaced, (text) => {
        expect(withoutDocs(withoutSpans(parseText(text).tree))).toBe(withoutDocs(trees.get(words(text).join(' '))))
      }),
      { numRuns: 60 },
    )
  })
})

it('the grammar is sound: no ambiguities, no left recursion, no rule twice', () => {
  expect(() => new Lexer(tokenTypes, { positionTracking: 'full' })).not.toThrow()
  expect(() => new ModelParser(false)).not.toThrow()
})
