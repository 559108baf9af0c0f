import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { FileTree } from '../../dsl/ast.ts'
import { format } from '../../dsl/format.ts'
import { parse } from '../../dsl/parse.ts'
import { damaged, respaced, sources, withoutSpans, words } from './syntax-sources.ts'

const formatText = (text: string): string => {
  const source = { path: 'test.dsl', text }
  return format(parse(source).tree as FileTree, source)
}
const comments = (text: string) => [...text.matchAll(/\/\/.*/g)].map(([comment]) => comment.trimEnd())

/** Everything that must hold for the layout of one text. */
function check(text: string) {
  const laidOut = formatText(text)
  expect(words(laidOut)).toEqual(words(text))
  expect(comments(laidOut)).toEqual(comments(text))
  expect(withoutSpans(parse({ path: 'test.dsl', text: laidOut }).tree)).toEqual(withoutSpans(parse({ path: 'test.dsl', text }).tree))
  expect(formatText(laidOut)).toBe(laidOut)
  expect(laidOut).not.toMatch(/[ \t]\n|\n\n\n|\t|^\n/)
}

describe('format', () => {
  it.each(sources.map(({ path, text }) => [path, text]))('lays out %s once and for all', (_, text) => check(text))
  it('leaves the library as it is: a row of axes keeps its dots wherever it stands', () => {
    for (const { path, text } of sources) if (/std\/\w+\.dsl$/.test(path)) expect(formatText(text), path).toBe(text)
    expect(sources.filter(({ text }) => text.includes('[t, ..h, d]')).length).toBeGreaterThan(0)
  })

  it('holds for any spacing', () => {
    fc.assert(fc.property(respaced, check), { numRuns: 60 })
  })

  it('holds for whatever still parses after damage', () => {
    const whole = damaged.filter((text) => parse({ path: 'test.dsl', text }).tree !== undefined)
    fc.assert(fc.property(whole, check), { numRuns: 40 })
  })

  it('decides blanks, indentation and columns', () => {
    const text = `module   m
import a.b   {c,d}
// remark
config C extends D{ x:dim=-  1 @hf ( "a" )
long:   float = 2  *(x+1)//tail
 y : int? =if x in (1,2){3}else{- 4}
}
op f( x : T[ ..s,n=2 ] ,
  y: T [..s] )
-> T[..s]
require x ==y,"t"
{
let (a,b)=x [l:0..+n,m : 1 .. 2]
for z in w{ q (a->(b,c),over : [s , t]) }


return not ( a ) }
`
    expect(formatText(text)).toBe(`module m
import a.b { c, d }
// remark
config C extends D { x: dim = -1 @hf("a")
  long: float = 2 * (x + 1)  //tail
  y:    int? = if x in (1, 2) { 3 } else { -4 }
}
op f(x: T[..s, n = 2],
     y: T[..s])
  -> T[..s]
  require x == y, "t"
{
  let (a, b) = x[l: 0 ..+ n, m: 1 .. 2]
  for z in w { q(a -> (b, c), over: [s, t]) }

  return not (a) }
`)
  })
})
