// The table of codes is the truth: docs/errors.md is current, each row is raised somewhere, nothing is raised that has no row, and
// no bare Error says anything but that a fault is ours.

import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { cliCodes } from '../../cli/error-codes.ts'
import { compilerCodes } from '../../compiler/error-codes.ts'
import { codes } from '../../dsl/codes.ts'
import { errorCodes } from '../../runtime/error-codes.ts'
import { errorTable } from '../../scripts/error-table.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const tables = /(dsl\/codes|error-codes)\.ts$/

const sources = ['dsl', 'compiler', 'runtime', 'cli'].flatMap((folder) =>
  readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !tables.test(`${folder}/${name}`))
    .map((name) => {
      const path = `${folder}/${name}`
      const text = readFileSync(root + path, 'utf8')
      return { path, text, code: text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '') }
    }),
)

const rows = { ...codes, ...compilerCodes, ...errorCodes, ...cliCodes }

/** Codes that stand in quotes, and those put together from a container's prefix and a word in quotes. */
function raised(): Set<string> {
  const found = new Set<string>()
  for (const { code } of sources) for (const [, name] of code.matchAll(/'((?:[LKG]\d{3}|E_[A-Z0-9_]*[A-Z0-9]))'/g)) found.add(name!)
  const containers: readonly (readonly [prefix: string, files: RegExp])[] = [
    ['E_GGUF_', /gguf/],
    ['E_SAFETENSORS_', /safetensors/],
  ]
  for (const [prefix, files] of containers) {
    for (const { code } of sources.filter(({ path }) => files.test(path))) {
      for (const [, word] of code.matchAll(/refuse\(\s*'([A-Z0-9_]+)'/g)) found.add(prefix + word)
    }
  }
  return found
}

test('docs/errors.md is what `npm run docs:errors` writes', () => {
  expect(readFileSync(`${root}docs/errors.md`, 'utf8')).toBe(errorTable())
})

test('each code has one row, and each row says something', () => {
  const names = [codes, compilerCodes, errorCodes, cliCodes].flatMap((table) => Object.keys(table))
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
  for (const [name, row] of Object.entries(rows)) expect((typeof row === 'string' ? row : row.explanation).length, name).toBeGreaterThan(20)
  expect(names.length).toBeGreaterThan(150)
})

test('every code that is raised has a row, and every row is raised', () => {
  const found = raised()
  expect([...found].filter((name) => !Object.hasOwn(rows, name)).sort()).toEqual([])
  const neverRaised = Object.keys(rows).filter((name) => !found.has(name))
  // The plan's check of a target's memory raises L601.
  expect(neverRaised.filter((name) => name !== 'L601')).toEqual([])
})

test('a bare Error is a fault of ours and says so', () => {
  // The team of threads rejects a promise of its own, which it turns into E_DEVICE.
  const bare = sources
    .filter(({ path }) => path !== 'runtime/devices/wasm-team.ts')
    .flatMap(({ path, code }) =>
      [...code.matchAll(/new Error\(\s*([\s\S]{0,60})/g)]
        .filter(([, text]) => !/^[`']internal: /.test(text!))
        .map(([all]) => `${path}: ${all}`),
    )
  expect(bare).toEqual([])
})

test('what reads files of strangers uses no JSON.parse of its own', () => {
  const parsers = sources.filter(({ code }) => code.includes('JSON.parse(')).map(({ path }) => path)
  const allowed = [
    'cli/call.ts', // a call from the command line, caught
    'cli/measure/peers.ts', // a line of another program's output, caught
    'cli/software-driver.ts', // package.json of an installed package
    'compiler/artifact/contents.ts', // what was written a line before
    'compiler/artifact/source-record.ts', // the source record, caught; its files are looked up as own keys only
    'compiler/artifact/write.ts', // an older artifact's manifest, caught
    'compiler/explain.ts', // examples that ship with the package
    'compiler/graph/parse.ts', // graphs in tests
    'compiler/weights/strict-json.ts', // one string literal, caught
    'dsl/config.ts', // --set, caught
    'runtime/artifact/shape.ts', // parseJson, caught
  ]
  expect(parsers.filter((path) => !allowed.includes(path))).toEqual([])
})
