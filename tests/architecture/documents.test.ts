// Documents that name files name files that exist.

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folders = 'bench|cli|compiler|docs|dsl|examples|models|runtime|scripts|tests'

test.each(['CONTRIBUTING.md', 'docs/language.md'])('%s', (document) => {
  const text = readFileSync(root + document, 'utf8')
  const named = [...text.matchAll(new RegExp(`\`((?:${folders})/[\\w./-]*)\``, 'g'))].map(([, path]) => path as string)
  expect(named.length).toBeGreaterThan(3)
  // An example's name has its code in it.
  expect(named.filter((path) => !path.includes('CODE') && !existsSync(root + path))).toEqual([])
})
