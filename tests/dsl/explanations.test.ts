// Every code of the language has a golden text that people read: its explanation with a wrong program, the whole message, and
// the right program. `npx vitest run tests/dsl/explanations.test.ts -u` writes them anew.

import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { explanationText } from '../../cli/explain.ts'
import { diagnose, explain } from '../../compiler/explain.ts'
import { type Code, codes } from '../../dsl/codes.ts'
import { loadModel } from '../../dsl/index.ts'
import { packageSources } from '../../compiler/package-sources.ts'
import { render } from '../../dsl/render.ts'

const all = Object.keys(codes) as Code[]
const files = (folder: string, ending: string): string[] =>
  readdirSync(fileURLToPath(new URL(folder, import.meta.url)))
    .map((name) => name.replace(ending, ''))
    .sort()

test('every code has an example and a golden, and every example and golden has a code', () => {
  expect(files('../../dsl/examples/', '.dsl')).toEqual(all.toSorted())
  expect(files('../golden/diagnostics/', '.txt')).toEqual(all.toSorted())
})

describe.each(all)('%s', (code) => {
  test('reads like this', async () => {
    await expect(`${await explanationText(code)}\n`).toMatchFileSnapshot(`../golden/diagnostics/${code}.txt`)
  })

  test('the wrong program gets this one message, the right one none', () => {
    const { wrong, right } = explain(code)
    expect(diagnose(wrong).map((d) => d.code)).toEqual([code])
    expect(diagnose(right).map((d) => render(d))).toEqual([])
  })

  test('the message is one sentence with a place', () => {
    const [first] = diagnose(explain(code).wrong)
    expect(first?.message).not.toMatch(/\.$|\n|undefined|\[object|NaN/)
    // A file of tensors and the command line are no sources.
    if (code !== 'L520') expect(first?.labels.length).toBeGreaterThan(0)
  })
})

test('a program can be wrong in every way that is checked without numbers, and other files do not matter', () => {
  const text = explain('L201').wrong.text
  const twice = ['a.dsl', 'b.dsl'].flatMap((path) =>
    loadModel(path, packageSources(new Map([[path, text]]))).diagnostics.map((d) => d.message),
  )
  expect(new Set(twice).size).toBe(1)
})
