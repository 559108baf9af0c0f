// The table of mutants follows the code: every row's place is there exactly once, in every file it names.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { mutants, plantIn, rootUrl, unnoticed } from './table.ts'

test('there are at least 40 mutants with names of their own, and each finds its place', () => {
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length)
  expect(mutants.length).toBeGreaterThanOrEqual(40)
  for (const mutant of [...mutants, ...unnoticed]) {
    const text = readFileSync(new URL(mutant.file, rootUrl), 'utf8')
    expect(plantIn(mutant, text)).not.toBe(text)
  }
})
