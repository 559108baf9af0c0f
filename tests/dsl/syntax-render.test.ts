import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { diagnose } from '../../dsl/codes.ts'
import type { Diagnostic } from '../../dsl/diagnostics.ts'
import { render, renderAll } from '../../dsl/render.ts'
import type { Source, Span } from '../../dsl/source.ts'
import { distance, nearest, suggest } from '../../dsl/suggest.ts'
import { printable, textWidth } from '../../dsl/text-width.ts'

const at = (source: Source, text: string): Span => {
  const start = source.text.indexOf(text)
  return { source, start, end: start + text.length }
}
const uncoloured = (text: string) => stripVTControlCharacters(text)

describe('render', () => {
  it('looks like the language reference', () => {
    const text = `${'\n'.repeat(32)}  weight wo: [embed, kv_heads, head_dim]\n${'\n'.repeat(12)}    return dot(mix, wo, over: [heads, head_dim])\n`
    const source = { path: 'models/llama.dsl', text }
    const start = text.indexOf('wo, over')
    const message = '`dot` cannot contract over `heads`: the right side has no such axis'
    const diagnostic = diagnose('L301', {
      message,
      labels: [
        { span: at(source, 'dot(mix, wo, over: [heads, head_dim])') },
        { span: at(source, 'mix'), text: 'real[seq, heads, head_dim]' },
        { span: { source, start, end: start + 2 }, text: 'real[embed, kv_heads, head_dim]' },
        { span: at(source, '[embed, kv_heads, head_dim]'), text: '`wo` is declared here' },
      ],
      notes: ['with preset "7B" heads and kv_heads are both 32, so this would run there and fail with grouped heads'],
      help: 'did you mean  weight wo: [embed, heads, head_dim]  ?',
    })
    const wanted = `error[L301]: \`dot\` cannot contract over \`heads\`: the right side has no such axis
   ┌─ models/llama.dsl:46:12
33 │   weight wo: [embed, kv_heads, head_dim]
   │              --------------------------- \`wo\` is declared here
46 │     return dot(mix, wo, over: [heads, head_dim])
   │                ^^^  ^^ real[embed, kv_heads, head_dim]
   │                real[seq, heads, head_dim]
   │
   = with preset "7B" heads and kv_heads are both 32, so this would run there and fail with grouped heads
   = did you mean  weight wo: [embed, heads, head_dim]  ?`
    expect(render(diagnostic)).toBe(wanted)
    expect(render(diagnostic, { colour: true })).toContain('\u001b[')
    expect(uncoloured(render(diagnostic, { colour: true }))).toBe(wanted)
  })

  it('puts markers under tabs, wide and combining characters, in several sources', () => {
    const one = { path: 'one.dsl', text: '\tlet 漢字e\u0301 = foo(a, bb)' }
    const two = { path: 'two\u001b[31m.dsl', text: 'op foo\r\n' }
    const labels = [
      { span: at(one, 'foo'), text: 'first' },
      { span: at(one, 'a'), text: 'second' },
      { span: at(one, 'bb'), text: 'third' },
      { span: at(two, 'foo'), text: 'declared here' },
    ]
    expect(render(diagnose('L320', { message: 'm\u0007', labels }))).toBe(`error[L320]: m\ufffd
   ┌─ one.dsl:1:13
 1 │     let 漢字e\u0301 = foo(a, bb)
   │                 ^^^ ^  ^^ third
   │                 │   second
   │                 first
   ┌─ two\ufffd[31m.dsl:1:4
 1 │ op foo
   │    --- declared here`)
  })

  it('shows at most 20 errors, each once, in order of place', () => {
    const source = { path: 'a.dsl', text: 'x\n'.repeat(100) }
    const label = (i: number) => ({ labels: [{ span: { source, start: 2 * i, end: 2 * i + 1 } }] })
    const errors = Array.from({ length: 30 }, (_, i) => diagnose('L201', { message: `unknown ${i}`, ...label((i * 7) % 30) }))
    const text = renderAll([...errors, ...errors])
    expect(text.match(/error\[/g)).toHaveLength(20)
    expect(text).toContain('and 10 more errors')
    const lines = [...text.matchAll(/a\.dsl:(\d+)/g)].map(([, line]) => Number(line))
    expect(lines).toEqual([...lines].sort((a, b) => a - b))
  })

  it('never fails, and leaves no control characters, whatever is marked', () => {
    const span = fc.tuple(fc.nat(60), fc.nat(60)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
    const text = fc.string({
      unit: fc.oneof(
        fc.constantFrom('a', ' ', '\n', '\t', '\r', '漢', '\u0301', '👍', '\u202e', '\u0000'),
        fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
      ),
      maxLength: 400,
    })
    fc.assert(
      fc.property(text, fc.array(fc.tuple(span, text), { maxLength: 6 }), (body, marks) => {
        const source = { path: 'p.dsl', text: body }
        const labels = marks.map(([[a, b], label]) => ({
          span: { source, start: Math.min(a, body.length), end: Math.min(b, body.length) },
          text: label,
        }))
        const diagnostic: Diagnostic = { code: 'L101', severity: 'error', message: body, labels, notes: [body] }
        const shown = render(diagnostic)
        expect(shown.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\u202e]/u)
        expect(uncoloured(render(diagnostic, { colour: true }))).toBe(shown)
      }),
    )
  })
})

describe('printable and textWidth', () => {
  it('agree on every code point', () => {
    expect(textWidth(printable('\t漢e\u0301👍'))).toBe(4 + 2 + 1 + 2)
  })
})

describe('suggest', () => {
  it('finds the near and only the near', () => {
    expect(suggest('embd', ['heads', 'embed', 'depth'])).toBe('embed')
    expect(suggest('haeds', ['heads', 'kv_heads'])).toBe('heads')
    expect(suggest('x', ['depth', 'width'])).toBeUndefined()
    expect(nearest('model.layers.0.wk', ['a', 'model.layers.0.wq', 'model.layers.1.wk'], 2)).toEqual([
      'model.layers.0.wq',
      'model.layers.1.wk',
    ])
  })

  it('is a distance', () => {
    const name = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 })
    fc.assert(
      fc.property(name, name, (a, b) => {
        expect(distance(a, b)).toBe(distance(b, a))
        expect(distance(a, b) === 0).toBe(a === b)
        expect(distance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length))
        expect(distance(a, b)).toBeGreaterThanOrEqual(Math.abs(a.length - b.length))
      }),
    )
  })
})
