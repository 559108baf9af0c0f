// docs/language.md is true: every program in it checks (or gives the message that stands below it), every fragment checks inside the
// declarations it is about, and the tutorial's commands run in order and print what stands below them.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import type { Diagnostic } from '../../dsl/diagnostics.ts'
import { loadModel } from '../../dsl/index.ts'
import { render, renderAll } from '../../dsl/render.ts'
import { primitiveNames } from '../../dsl/check/primitives/names.ts'
import { readProject, summary } from './read-models.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const text = readFileSync(join(root, 'docs/language.md'), 'utf8')

interface Block {
  readonly line: number
  readonly language: string
  readonly info: string
  readonly body: string
}

const blocks: Block[] = [...text.matchAll(/^```(\w+) ?(.*)\n([\s\S]*?)^```$/gm)].map(
  ({ 1: language = '', 2: info = '', 3: body = '', index }) => ({
    line: text.slice(0, index).split('\n').length,
    language,
    info,
    body,
  }),
)
const files = new Map(blocks.flatMap(({ info, body }) => (info.startsWith('file=') ? [[info.slice('file='.length), body]] : [])))

const config = `config C {
  vocab: dim = 100  embed: dim = 64  depth: dim = 2  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ffn: dim = 128  ctx: dim = 32
  bias: bool = false
  require heads % kv_heads == 0
}`
const parameters = [
  'x: real[seq, embed]',
  'q: real[seq, heads, head_dim]',
  'pos: i32[seq]',
  'gain: real[embed]',
  'up: real[ffn, embed]',
  'table: real[vocab, embed]',
  'ids: i32[seq]',
].join(', ')

/** What stands around a fragment, by its kind. */
const around: Readonly<Record<string, (body: string) => string>> = {
  config: (body) => `module fragment\nconfig C {\n${body}}\n`,
  block: (body) => `module fragment\n${config}\nblock B uses C {\n${body}}\n`,
  body: (body) => `module fragment\n${config}\nblock B uses C {\n  fn f(${parameters}) {\n${body}  }\n}\n`,
  model: (body) => `module fragment\n${config}\nmodel M uses C {\n  weight embedding: [vocab, embed]\n${body}}\n`,
}

/** Everything said about a program, with every preset it has. */
function said(path: string, program: string): readonly Diagnostic[] {
  const { model, diagnostics } = loadModel(path, (asked) => (asked === path ? program : (files.get(asked) ?? readProject(asked))))
  if (!model) return diagnostics
  return [
    ...diagnostics,
    ...[undefined, ...model.presets].flatMap((preset) => model.specialise(preset === undefined ? {} : { preset }).diagnostics),
  ]
}

const programs = blocks.filter(({ language }) => language === 'dsl')

describe('programs', () => {
  test.each(programs.map((block) => [`line ${block.line} ${block.info}`, block] as const))('%s', (_, block) => {
    const { info, body } = block
    const below = blocks[blocks.indexOf(block) + 1]
    const wrap = around[info]
    if (info === 'wrong') expect(`${renderAll(said('wrong.dsl', body))}\n`).toBe(below?.body)
    else if (wrap)
      expect(summary(said('fragment.dsl', wrap(body)))).toEqual(below?.language === 'text' ? below.body.trim().split('\n') : [])
    else {
      expect(body).toMatch(/^module /)
      expect(said(info.replace('file=', '') || 'program.dsl', body).map((d) => render(d))).toEqual([])
    }
  })

  test('there are enough of each kind to mean something', () => {
    expect(programs.length).toBeGreaterThanOrEqual(12)
    for (const kind of [...Object.keys(around), 'wrong']) expect(programs.some(({ info }) => info === kind)).toBe(true)
  })
})

describe('the tutorial', () => {
  const folder = mkdtempSync(join(tmpdir(), 'llamac-tutorial-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  for (const [name, body] of files) writeFileSync(join(folder, name), body)

  const commands = blocks.filter(({ language }) => language === 'sh')
  test.each(commands.map((block) => [block.body.trim().split('\n')[0] as string, block] as const))('%s', (_, block) => {
    let printed = ''
    for (const line of block.body.trim().split('\n')) {
      const args = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, word]) => quoted ?? (word as string))
      expect(args.shift()).toBe('llamac')
      const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'cli/main.ts'), ...args], {
        cwd: folder,
        encoding: 'utf8',
      })
      expect({ line, status, stderr: status === 0 ? '' : stderr }).toEqual({ line, status: 0, stderr: '' })
      printed += stdout
    }
    const below = blocks[blocks.indexOf(block) + 1]
    if (below?.language === 'text') expect(printed).toBe(below.body)
  })
})

test('the library and the primitives are listed whole', () => {
  const library = ['nn', 'rope', 'attention'].flatMap((name) =>
    [...(readProject(`std/${name}.dsl`) ?? '').matchAll(/^op (\w+)/gm)].map(([, op]) => op as string),
  )
  const listed = text.slice(text.indexOf('## 11.'), text.indexOf('## 12.'))
  for (const op of library) expect(listed).toMatch(new RegExp(`\\b${op}\\b`))
  const reference = text.slice(text.indexOf('## 3.'), text.indexOf('## 6.'))
  for (const name of primitiveNames) expect(reference).toMatch(new RegExp(`\\b${name}\\b`))
})
