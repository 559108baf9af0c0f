// Laws: sizes are a commutative ring in normal form with exact division; no program, however mangled, makes the checker throw;
// a part's kind decides the groups of a loop.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { codes } from '../../dsl/codes.ts'
import { loadModel } from '../../dsl/index.ts'
import { atom, divide, known, minus, plus, sameSize, showSize, type Size, substitute, times, whole } from '../../dsl/sizes.ts'
import { CheckingSink } from './checking-sink.ts'
import { numbered, program, readProject } from './read-models.ts'

const names = ['a', 'b', 'c']
const size: fc.Arbitrary<Size> = fc.letrec<{ size: Size }>((tie) => ({
  size: fc.oneof(
    { depthSize: 'small' },
    fc.integer({ min: -5, max: 9 }).map(whole),
    fc.constantFrom(...names).map(atom),
    fc.tuple(tie('size'), tie('size')).map(([x, y]) => plus(x, y)),
    fc.tuple(tie('size'), tie('size')).map(([x, y]) => times(x, y)),
    fc
      .tuple(tie('size'), fc.constantFrom(...names, 2, 3))
      .map(([x, y]) => (divide(x, typeof y === 'number' ? whole(y) : atom(y)) as { size: Size }).size),
  ),
})).size

const values = (a: number, b: number, c: number): Map<string, Size> =>
  new Map([
    ['a', whole(a)],
    ['b', whole(b)],
    ['c', whole(c)],
  ])

describe('sizes', () => {
  test('are a commutative ring whose normal form decides equality', () => {
    fc.assert(
      fc.property(size, size, size, (x, y, z) => {
        expect(showSize(plus(x, y))).toBe(showSize(plus(y, x)))
        expect(sameSize(plus(plus(x, y), z), plus(x, plus(y, z)))).toBe(true)
        expect(sameSize(minus(plus(x, y), y), x)).toBe(true)
      }),
    )
  })
  test('a product divides out again, by one side or the other', () => {
    const product = fc.tuple(size, fc.constantFrom(...names.map(atom), whole(6), plus(atom('a'), whole(2))))
    fc.assert(
      fc.property(product, ([x, y]) => {
        const back = divide(times(x, y), y)
        expect(back && showSize(times(back.size, y))).toBe(showSize(times(x, y)))
      }),
    )
  })
  test('(a / b) * b is a, whether it divides out or not', () => {
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.constantFrom(...names), (x, y) => {
        const quotient = divide(atom(x), atom(y)) as { size: Size }
        expect(sameSize(times(quotient.size, atom(y)), atom(x))).toBe(true)
      }),
    )
  })
  test('numbers put in before or after give the same number', () => {
    const number = fc.integer({ min: 1, max: 6 })
    fc.assert(
      fc.property(size, size, number, number, number, (x, y, a, b, c) => {
        const by = values(a * 60, b * 60, c * 60)
        const late = known(substitute(times(x, y), by))
        const [left, right] = [known(substitute(x, by)), known(substitute(y, by))]
        if (left !== undefined && right !== undefined && late !== undefined) expect(late).toBeCloseTo(left * right, 3)
      }),
    )
  })
})

const root = fileURLToPath(new URL('../../', import.meta.url))
const sources = [
  'models/llama.dsl',
  'models/mixtral.dsl',
  'models/gemma.dsl',
  'models/marian.dsl',
  'dsl/std/attention.dsl',
  'dsl/std/rope.dsl',
].map((path) => ({ path, text: readFileSync(root + path, 'utf8') }))
const word = /[A-Za-z_]\w*|\d+(?:\.\d+)?|\.\.\+|->|[-+*/%<>=()[\]{},:]/g

test('mangled programs give messages of known codes, never exceptions', () => {
  const mangle = fc.record({
    file: fc.constantFrom(...sources),
    seeds: fc.array(fc.tuple(fc.nat(), fc.nat(), fc.constantFrom('swap', 'drop', 'double')), { minLength: 1, maxLength: 3 }),
  })
  fc.assert(
    fc.property(mangle, ({ file, seeds }) => {
      let { text } = file
      for (const [at, other, how] of seeds) {
        const words = [...text.matchAll(word)]
        const [one, two] = [words[at % words.length], words[other % words.length]]
        if (!one || !two) continue
        const put = how === 'drop' ? '' : how === 'double' ? `${one[0]} ${one[0]}` : two[0]
        text = text.slice(0, one.index) + put + text.slice(one.index + one[0].length)
      }
      const entry = file.path.startsWith('dsl/') ? 'models/llama.dsl' : file.path
      const { model, diagnostics } = loadModel(entry, (path) => (path === file.path.replace('dsl/std', 'std') ? text : readProject(path)))
      const all = [...diagnostics]
      const numbers = model?.specialise({ ...(model.presets[0] === undefined ? {} : { preset: model.presets[0] }) })
      all.push(...(numbers?.diagnostics ?? []))
      const specialised = numbers?.model
      for (const one of specialised?.entries ?? []) {
        const result = specialised?.elaborate(one.name, new CheckingSink(specialised))
        all.push(...(result?.diagnostics ?? []))
      }
      for (const d of all) expect(Object.keys(codes)).toContain(d.code)
    }),
    { numRuns: 60 },
  )
})

test('parts with equal arguments share a group; nested arrays unroll inside it', () => {
  const model = program(`module test
    config C { embed: dim = 8  depth: dim = 6  every: dim = 3 }
    block Inner(k: dim) uses C { weight w: [embed]  fn forward(x: real[s, embed]) -> real[s, embed] { return x * w * real(k) } }
    block Outer(wide: bool, k: dim? = none) uses C {
      part inner[j < 2]: Inner(k: j)
      fn forward(x: real[s, embed]) -> real[s, embed] { let y = if wide { x + x } else { x }  for i in inner { y = i(y) }  return y }
    }
    model M uses C {
      part outer[i < depth]: Outer(wide: i % every == 0)
      entry run(x: real[seq, embed]) -> real[seq, embed] { for o in outer { x = o(x) }  return x }
      runtime seq: 1 ..= 5
      preset "p" { }
    }`)
  const specialised = numbered(model, { preset: 'p' })
  const sink = new CheckingSink(specialised)
  specialised.elaborate('run', sink)
  expect(sink.loops).toEqual([{ array: 'outer', order: [0, 1, 1, 0, 1, 1], groups: 2 }])
  expect(sink.journal.filter((line) => line.startsWith('weight'))).toEqual([0, 1, 0, 1].map((j) => `weight outer[*].inner[${j}].w f32[8]`))
  expect(specialised.weights.length).toBe(12)
})
