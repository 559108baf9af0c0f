// Every feature of the language, from text to a number: small programs through check, the reference and WebAssembly, with the
// numbers that the language's reference promises; and what is said where a feature is used wrongly in ways that have no code of
// their own (those have goldens: explanations.test.ts).

import { describe, expect, test } from 'vitest'
import { blocks } from './features/blocks.ts'
import { configs } from './features/configs.ts'
import { entry, type Feature, model, runProgram } from './features/run-program.ts'
import { tensors } from './features/tensors.ts'
import { check } from './read-models.ts'

async function holds({ calls, ...program }: Feature): Promise<void> {
  const outcome = await runProgram(program, calls)
  expect(outcome.wrong).toEqual([])
  if (!('reference' in outcome)) return
  for (const [i, [name, , gives]] of calls.entries()) {
    const wanted = [gives].flat()
    for (const [device, tolerance] of [
      ['reference', 1e-12],
      ['wasm', 1e-6],
    ] as const) {
      const got = outcome[device][i]!
      expect(got.length, `${device}: ${name}`).toBe(wanted.length)
      for (const [j, value] of wanted.entries())
        expect(Math.abs(got[j]! - value), `${device}: ${name}[${j}] is ${got[j]}, not ${value}`).toBeLessThanOrEqual(
          tolerance * (1 + Math.abs(value)),
        )
    }
  }
}

describe('axes, sizes, primitives', () => {
  test.each(Object.entries(tensors))('%s', (_, feature) => holds(feature))
})
describe('configs and imports', () => {
  test.each(Object.entries(configs))('%s', (_, feature) => holds(feature))
})
describe('blocks, entries, variants', () => {
  test.each(Object.entries(blocks))('%s', (_, feature) => holds(feature))
})

/** Program, code, what the message says, what the help says. */
const wrong: Readonly<Record<string, readonly [text: string, code: string, says: RegExp, help: RegExp]>> = {
  'a dropped member that is still used': [
    `module test
     config C { n: dim = 2 }
     block P uses C { weight b: [n]  fn forward(x: real[n]) -> real[n] { return x + b } }
     block Q extends P { drop b }`,
    'L201',
    /`Q` has no `b` any more/,
    /override what uses it/,
  ],
  'the label of an axis as a number': [
    model(entry('rename(split(x, n -> (a = 1, b))[a: 0] * b, b -> n)').replace('return', 'let y = split(x, n -> (a = 1, b))  return')),
    'L201',
    /unknown name `b`/,
    /`b` is only the label of an axis of `y`; for its size write {2}let b = n/,
  ],
  'a function that needs a condition, called without it': [
    model(
      `state past: real[n] when keeps
      fn keep(x: real[n]) -> real[n] { store past[n: 0 ..+ n] = x  return past }
      ${entry('if n > 2 { keep(x) } else { x }')}`,
      { config: 'n: dim = 3  keeps: bool = true' },
    ),
    'L208',
    /`keep` uses `past`, but `past` exists in `M` only when keeps/,
    /use it under {2}if keeps/,
  ],
  'a package that is not installed': [
    'module test import "@acme/models" { Foo }',
    'L202',
    /cannot find the module @acme\/models/,
    /looked for node_modules\/@acme\/models\/index\.dsl/,
  ],
  'a package path that leads out': [
    'module test import "../secret" { Foo }',
    'L202',
    /cannot find the module/,
    /a string is a package and a file in it/,
  ],
  'a preset of a field that is not there': [model(`${entry('x')} preset "p" { zzz = 3 }`), 'L201', /C has no field `zzz`/, /it has n/],
}

describe('used wrongly', () => {
  test.each(Object.entries(wrong))('%s', (_, [text, code, says, help]) => {
    const [first, ...rest] = check(text)
    expect(rest).toEqual([])
    expect(first).toMatchObject({ code, message: expect.stringMatching(says), help: expect.stringMatching(help) })
  })
})
