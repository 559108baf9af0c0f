// The commands that work on texts alone, in this process: fmt, expand, diff. What they print, write and end with.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterAll, expect, test, vi } from 'vitest'
import { addDiff } from '../../cli/diff.ts'
import { addExpand } from '../../cli/expand.ts'
import { addFmt } from '../../cli/fmt.ts'
import { exitCodes, reportError } from '../../cli/report.ts'

const folder = mkdtempSync(join(tmpdir(), 'llamac-tools-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

async function llamac(...args: readonly string[]): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const said = { stdout: '', stderr: '' }
  const spies = (['stdout', 'stderr'] as const).map((stream) =>
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      said[stream] += String(text)
      return true
    }),
  )
  const program = new Command('llamac').exitOverride()
  for (const add of [addFmt, addExpand, addDiff]) add(program)
  try {
    const code = await program.parseAsync(args, { from: 'user' }).then(() => exitCodes.fine, reportError)
    return { code, ...said }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}

const base = 'module base\n\nconfig C { n: dim = 2 }\n\nmodel Base uses C { entry f(x: real[n]) -> real[n] { return x * 2.0 } }\n'

test('fmt writes what is laid out differently, names it, and is content afterwards', async () => {
  const [good, bad] = [file('good.dsl', base), file('bad.dsl', base.replace('x * 2.0', 'x*2.0   '))]
  expect(await llamac('fmt', '--check', good, bad)).toEqual({ code: 1, stdout: `${bad}\n`, stderr: '' })
  expect(readFileSync(bad, 'utf8')).not.toBe(base)
  expect(await llamac('fmt', good, bad)).toEqual({ code: 0, stdout: `${bad}\n`, stderr: '' })
  expect(readFileSync(bad, 'utf8')).toBe(base)
  expect(await llamac('fmt', '--check', good, bad)).toEqual({ code: 0, stdout: '', stderr: '' })
})

test('fmt leaves a text that cannot be read as it is', async () => {
  const broken = file('broken.dsl', 'module base\nconfig {')
  const { code, stderr } = await llamac('fmt', broken)
  expect({ code, first: stderr.split('\n')[0] }).toEqual({ code: 1, first: 'error[L101]: expected a name, found `{`' })
  expect(readFileSync(broken, 'utf8')).toBe('module base\nconfig {')
  expect((await llamac('fmt', join(folder, 'absent.dsl'))).stderr).toMatch(/^error\[E_SOURCE_FILE\]: cannot read .*absent\.dsl/)
})

test('expand prints or writes one file; diff compares what is meant', async () => {
  const parent = file('base.dsl', base)
  const variant = file(
    'variant.dsl',
    'module variant\n\nimport base { Base }\n\nmodel Variant extends Base { override entry f(x: real[n]) -> real[n] { return super(x) + 1.0 } }\n',
  )
  const { code, stdout } = await llamac('expand', variant)
  expect(code).toBe(0)
  const whole = join(folder, 'whole.dsl')
  expect(await llamac('expand', variant, '-o', whole)).toEqual({ code: 0, stdout: '', stderr: '' })
  expect(readFileSync(whole, 'utf8')).toBe(stdout)
  expect(await llamac('diff', variant, whole)).toEqual({ code: 0, stdout: '', stderr: '' })
  expect(await llamac('diff', parent, variant)).toEqual({
    code: 1,
    stderr: '',
    stdout: [
      'model',
      '  ~ entry f',
      '    - entry f(x: real[n]) -> real[n] { return x * 2.0 }',
      '    + entry f(x: real[n]) -> real[n] { return f_of_Base(x) + 1.0 }',
      '  + fn f_of_Base(x: real[n]) -> real[n] { return x * 2.0 }',
      '',
    ].join('\n'),
  })
  const { stdout: json } = await llamac('diff', '--json', parent, variant)
  expect(JSON.parse(json)).toMatchObject([{ where: '', what: 'entry f' }, { what: 'fn f_of_Base' }])
})

test('a model that cannot be one file is refused with what to rename', async () => {
  const captured = file(
    'captured.dsl',
    `module captured
config C { n: dim = 2 }
config D extends C { many: dim = 3 }
block A uses C { fn forward(x: real[many, n]) -> real[many, n] { return x } }
model M uses D { part a: A()  entry f(x: real[s, n]) -> real[s, n] { return a(x) }  runtime s: 1 ..= 2 }
`,
  )
  const { code, stderr } = await llamac('expand', captured)
  expect(code).toBe(1)
  expect(stderr).toMatch(/^error\[E_EXPAND\]: .*captured\.dsl cannot be written as one file: `many` is a size .*: rename one of them\n$/)
})
