// `check --format …` and `explain` as users meet them: stdout, stderr and exit code.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { codes } from '../../dsl/codes.ts'
import { llamac } from './llamac.ts'

const folder = mkdtempSync(join(tmpdir(), 'llamac-diagnostics-'))
afterAll(() => rmSync(folder, { recursive: true }))

const wrong = join(folder, 'a b,1.dsl')
writeFileSync(
  wrong,
  'module wrong\n\nconfig C { embed: dim = 64 }\n\nblock B uses C {\n  fn f(x: real[s, embed]) -> real[s, embed] { return x * embd }\n}\n',
)

describe('check --format', () => {
  test('json: one document with places, and the models that are fine', () => {
    const { status, stdout, stderr } = llamac('check', wrong, 'models/llama.dsl', '--format', 'json')
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
    const { diagnostics, models } = JSON.parse(stdout)
    expect(diagnostics).toEqual([
      {
        code: 'L201',
        severity: 'error',
        message: 'unknown name `embd`',
        labels: [
          { path: wrong, line: 6, column: 58, endLine: 6, endColumn: 62 },
          { path: wrong, line: 3, column: 12, endLine: 3, endColumn: 17, text: '`embed` is declared here' },
        ],
        notes: [],
        help: 'did you mean `embed`?',
      },
    ])
    expect(models).toMatchObject([{ file: 'models/llama.dsl', model: 'Llama', presets: [{ parameters: 6738415616 }] }])
  })

  test('sarif: the members that code scanning reads', () => {
    const { status, stdout } = llamac('check', wrong, '--format', 'sarif')
    expect(status).toBe(1)
    const log = JSON.parse(stdout)
    expect(log).toMatchObject({
      version: '2.1.0',
      runs: [{ tool: { driver: { name: 'llamac', rules: [{ id: 'L201', shortDescription: { text: codes.L201.title } }] } } }],
    })
    const [result] = log.runs[0].results
    expect(result).toMatchObject({ ruleId: 'L201', ruleIndex: 0, level: 'error' })
    const [{ physicalLocation }] = result.locations
    expect(physicalLocation.region).toEqual({ startLine: 6, startColumn: 58, endLine: 6, endColumn: 62 })
    expect(decodeURIComponent(physicalLocation.artifactLocation.uri)).toBe(wrong)
    expect(physicalLocation.artifactLocation.uri).not.toMatch(/[ ,]/)
    expect(result.relatedLocations).toHaveLength(1)
  })

  test('github: one line per diagnostic, with what could end it escaped', () => {
    const { status, stdout } = llamac('check', wrong, '--format', 'github')
    expect(status).toBe(1)
    const file = wrong.replaceAll(',', '%2C')
    expect(stdout).toBe(
      `::error file=${file},line=6,endLine=6,col=58,endColumn=62,title=L201::unknown name \`embd\`%0Adid you mean \`embed\`?\n`,
    )
  })

  test('without errors all of them succeed', () => {
    for (const format of ['json', 'sarif', 'github'])
      expect(llamac('check', 'models/gpt2.dsl', '--format', format)).toMatchObject({ status: 0, stderr: '' })
    expect(llamac('check', 'models/gpt2.dsl', '--format', 'xml').status).toBe(2)
  })

  test('one wrong number of several presets is told once', () => {
    const presets = join(folder, 'presets.dsl')
    writeFileSync(
      presets,
      'module presets\nconfig C { a: dim = 8  b: dim = 3  c: dim = a / b }\nmodel M uses C { weight w: [c]  preset "x" { a = 10 }  preset "y" { a = 11 } }\n',
    )
    const { status, stdout } = llamac('check', presets, '--all-presets', '--format', 'json')
    expect(status).toBe(1)
    expect(JSON.parse(stdout).diagnostics).toMatchObject([{ code: 'L231', notes: ['also with "y"'] }])
  })

  test('a table of the model itself must be complete', () => {
    const table = join(folder, 'table.dsl')
    writeFileSync(
      table,
      'module table\nconfig C { a: dim = 8 }\nmodel M uses C { weight w: [a]  weight v: [a]  checkpoint hf { w <- "w" } }\n',
    )
    expect(llamac('check', table)).toMatchObject({ status: 1, stderr: expect.stringMatching(/^error\[L501\]: `v` has no rule in hf\n/) })
  })
})

describe('explain', () => {
  test('a code of the language: title, reason, example, message, correction', () => {
    const { status, stdout, stderr } = llamac('explain', 'l301')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    for (const part of [codes.L301.title, '$ llamac check mine.dsl', 'error[L301]:', 'Right is:']) expect(stdout).toContain(part)
  })

  test.each([
    ['E_BUSY', 'another session'],
    ['E_TAP', '--tap'],
  ])('a code of the runtime, of the compiler: %s', (code, words) =>
    expect(llamac('explain', code)).toMatchObject({ status: 0, stdout: expect.stringContaining(words) }),
  )

  test('all of them', () => {
    const { stdout } = llamac('explain')
    for (const code of [...Object.keys(codes), 'E_BUSY', 'E_TEXT_FILE']) expect(stdout).toContain(`${code} `)
  })

  test('an unknown code', () =>
    expect(llamac('explain', 'L3O1')).toMatchObject({ status: 2, stderr: expect.stringContaining('did you mean L301') }))
})
