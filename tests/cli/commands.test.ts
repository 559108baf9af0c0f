// The command line as users meet it: the program is started, and its stdout, stderr and exit code are all that counts. Numbers
// come from seeded weights, so that every device computes the same model.

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseCall } from '../../cli/call.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'llamac-cli-'))
const artifact = join(folder, 'artifact')
const tiny = ['models/llama.dsl', '--preset', 'tiny', '--seed-weights', '1']
const patience = { timeout: 120_000 }

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function llamac(...args: readonly string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'cli/main.ts'), ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.on('error', reject).on('close', (code) => resolve({ code, stdout, stderr }))
  })
}

/** Runs a command that must succeed; its stdout as JSON. */
async function json<T>(...args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await llamac(...args, '--json')
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as T
}

interface Logits {
  readonly tokens: readonly number[]
  readonly dims: readonly number[]
  readonly logits: readonly (readonly number[])[]
}

/** Largest difference relative to the root mean square of what is wanted. */
function distance(got: Logits, want: Logits): number {
  const wanted = want.logits.flat()
  const scale = Math.sqrt(wanted.reduce((sum, x) => sum + x * x, 0) / wanted.length)
  return Math.max(...got.logits.flat().map((x, i) => Math.abs(x - wanted[i]!))) / scale
}

beforeAll(async () => {
  const { code, stdout, stderr } = await llamac('compile', ...tiny, '--emit', 'graph,wat,types', '-o', artifact)
  expect({ code, stdout, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stdout: `${artifact}\n`, stderr: '' })
}, patience.timeout)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('an artifact', () => {
  test('is a folder with the texts that were asked for, and is only replaced by its like', patience, async () => {
    expect(readdirSync(artifact)).toEqual(
      expect.arrayContaining(['manifest.json', 'program-0.wasm', 'weights-000.bin', 'graph.txt', 'program.wat', 'bindings.ts']),
    )
    const shown = await json<{ kind: string; parameters: number; entries: { name: string }[] }>('inspect', artifact)
    expect([shown.kind, shown.parameters, shown.entries.map(({ name }) => name)]).toEqual([
      'artifact',
      123_712,
      ['prefill', 'decode', 'score'],
    ])
    const other = join(folder, 'other.txt')
    writeFileSync(other, 'mine')
    const refused = await llamac('compile', ...tiny, '-o', folder)
    expect([refused.code, refused.stdout, readFileSync(other, 'utf8')]).toEqual([1, '', 'mine'])
    expect(refused.stderr).toContain('error[E_OUTPUT_FOLDER]')
  })

  test('generates the same every time, and what its source generates', patience, async () => {
    const ask = ['--tokens', '1,2', '-n', '12', '--temperature', '1', '--seed', '7']
    interface Generated {
      readonly prompt_ids: number[]
      readonly tokens: number[]
      readonly text: string
      readonly stop: string
    }
    const first = await json<Generated>('run', artifact, ...ask)
    expect(first).toMatchObject({ prompt_ids: [1, 2], text: '', stop: 'length' })
    expect(first.tokens.length).toBe(12)
    expect(await json('run', artifact, ...ask)).toEqual(first)
    expect(await json('run', ...tiny, ...ask)).toEqual(first)
  })

  test('generates the same with any number of threads', patience, async () => {
    const ask = ['run', artifact, '--tokens', '1,2', '-n', '12']
    const [one, three, wrong] = await Promise.all([
      json(...ask, '--threads', '1'),
      json(...ask, '--threads', '3'),
      llamac(...ask, '--threads', 'many'),
    ])
    expect(three).toEqual(one)
    expect((await llamac(...ask, '--threads', '3')).stderr).toContain('on wasm, 3 threads')
    expect([wrong.code, wrong.stdout]).toEqual([2, ''])
    expect(wrong.stderr).toContain('--threads')
    expect((await llamac(...ask, '--threads', '1000')).stderr).toContain('error[E_ARGUMENT]')
    expect((await llamac('compile', ...tiny, '--emit', 'plan')).stdout).toMatch(/meet, split decode_\d+/)
  })

  test('needs its source for the reference', patience, async () => {
    const { code, stdout, stderr } = await llamac('logits', artifact, '--tokens', '1', '--device', 'reference')
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toContain('error[E_REFERENCE_NEEDS_SOURCE]')
  })
})

describe('scores', () => {
  const tokens = ['--tokens', '1,200,3,17,17,0,255']

  test('agree between the reference and WASM, at once and step by step, plain and quantised', patience, async () => {
    for (const flags of [
      ['--math', 'strict'],
      ['--math', 'strict', '--quant', 'q8_0', '--quant', 'layers.1.attn.*=q4_0'],
    ]) {
      const want = await json<Logits>('logits', ...tiny, ...flags, ...tokens, '--all', '--device', 'reference')
      expect(want.dims).toEqual([7, 256])
      for (const how of [['--all'], ['--all', '--step']]) {
        expect(distance(await json<Logits>('logits', ...tiny, ...flags, ...tokens, ...how, '--device', 'wasm'), want)).toBeLessThan(1e-4)
      }
    }
  })

  test('are the same by prefill, as raw file and by call', patience, async () => {
    const last = await json<Logits>('logits', artifact, ...tokens)
    expect(last.dims).toEqual([1, 256])
    const raw = join(folder, 'logits.bin')
    expect((await llamac('logits', artifact, ...tokens, '--out', raw)).stdout).toBe(`${raw}\n`)
    const bytes = readFileSync(raw)
    expect(Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(i * 4))).toEqual(last.logits[0])
    const calls = await json<{ entry: string; dims: number[]; values: number[] }[]>(
      'call',
      artifact,
      'prefill(tokens: [9, 9], start: 0)',
      'prefill(tokens: [1,200,3,17,17,0,255], start: 0)',
    )
    expect(calls[1]).toEqual({ entry: 'prefill', dims: [256], values: last.logits[0] })
  })

  test('are shown with values by path, which an artifact keeps', patience, async () => {
    type Tapped = Logits & {
      readonly taps: Readonly<Record<string, { readonly dims: readonly number[]; readonly values: readonly number[] }>>
    }
    const flags = ['--math', 'strict', '--tap', 'layers.*', '--tap', 'out_norm']
    const want = await json<Tapped>('logits', ...tiny, ...flags, ...tokens, '--device', 'reference')
    expect(Object.entries(want.taps).map(([name, { dims }]) => [name, dims])).toEqual([
      ['layers.0', [7, 64]],
      ['layers.1', [7, 64]],
      ['out_norm', [7, 64]],
    ])
    const tapped = join(folder, 'tapped')
    expect((await llamac('compile', ...tiny, ...flags, '-o', tapped)).code).toBe(0)
    const [call] = await json<readonly { results: readonly { name?: string; dims: number[]; values: number[] }[] }[]>(
      'call',
      tapped,
      'prefill(tokens: [1,200,3,17,17,0,255], start: 0)',
    )
    const [scores, ...taps] = call!.results
    expect(taps.map(({ name }) => name)).toEqual(Object.keys(want.taps))
    for (const { name, values } of [...taps, { ...scores!, name: '' }]) {
      const wanted = want.taps[name!]?.values ?? want.logits[0]!
      const [got, asked] = [values, wanted].map((row): Logits => ({ tokens: [], dims: [], logits: [row] }))
      expect(distance(got!, asked!), name).toBeLessThan(1e-4)
    }
  })
})

describe('check', () => {
  test("counts the parameters of the LLaMA paper's models", patience, async () => {
    const { code, stdout, stderr } = await llamac('check', 'models/llama.dsl', '--all-presets')
    expect([code, stderr]).toEqual([0, ''])
    for (const count of ['6,738,415,616', '13,015,864,320', '32,528,943,616', '65,285,660,672']) expect(stdout).toContain(count)
  })

  test('takes folders: all files below, one table, and says what it passes over', patience, async () => {
    const below = join(folder, 'many')
    const text = (name: string): string =>
      `module ${name}\n\nimport llama { Llama }\n\nmodel ${name.toUpperCase()} extends Llama {\n  preset "${name}-one" { embed = 64  ffn = 128 }\n}\n`
    for (const at of ['.', 'a', 'node_modules/x', 'empty']) mkdirSync(join(below, at), { recursive: true })
    writeFileSync(join(below, 'z.dsl'), text('z'))
    writeFileSync(join(below, 'a', 'y.dsl'), text('y'))
    writeFileSync(join(below, 'a', 'ops.dsl'), 'module ops\n\nop twice(x: T[..s]) -> T[..s] { return x + x }\n')
    writeFileSync(join(below, 'node_modules', 'x', 'w.dsl'), text('w'))
    const { code, stdout, stderr } = await llamac('check', '--all-presets', below, join(below, 'z.dsl'))
    expect([code, stderr]).toEqual([0, `note: ${join(below, 'node_modules')} is passed over\n`])
    expect(
      stdout
        .replaceAll(below, '')
        .split('\n')
        .map((line) => line.trim().split(/ {2,}/).slice(0, 3)),
    ).toEqual([
      ['/a/ops.dsl: no model, no errors'],
      ['file', 'model', 'preset'],
      ['/a/y.dsl', 'Y', 'y-one'],
      ['/z.dsl', 'Z', 'z-one'],
      [''],
    ])
    expect(await llamac('check', join(below, 'empty'))).toMatchObject({ code: 2, stderr: expect.stringContaining('no .dsl file') })
  })

  test('finds the library and the models from any folder, and shows mistakes with their line', patience, async () => {
    const good = join(folder, 'good.dsl')
    writeFileSync(good, 'module good\n\nimport llama { Llama }\n\nmodel Good extends Llama {\n}\n')
    const fine = await llamac('check', good)
    expect([fine.code, fine.stderr]).toEqual([0, ''])
    const bad = join(folder, 'bad.dsl')
    writeFileSync(bad, 'module bad\n\nimport llama { Llame }\n')
    const { code, stdout, stderr } = await llamac('check', bad)
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/error\[L201\][\s\S]*import llama \{ Llame \}/)
  })
})

describe('usage', () => {
  test('wrong usage is exit code 2 and names what was meant', patience, async () => {
    const wrong: readonly (readonly [readonly string[], RegExp])[] = [
      [['complie', 'x.dsl'], /Did you mean compile/],
      [['run', artifact, '--promt', 'x'], /Did you mean --prompt/],
      [['run', artifact, '-n', 'many'], /whole number/],
      [['run', artifact, '--preset', 'tiny'], /compiled already/],
      [['call', artifact, 'prefill(tokens: [1'], /cannot read the call/],
      [['compile', ...tiny, '--emit', 'soup'], /--emit knows no soup/],
      [['logits', ...tiny, '--tokens', '1', '--step', '--tap', 'layers.*'], /give --tap or --step/],
    ]
    for (const [args, message] of wrong) {
      const { code, stdout, stderr } = await llamac(...args)
      expect([args, code, stdout]).toEqual([args, 2, ''])
      expect(stderr).toMatch(message)
    }
    expect(existsSync(join(root, 'out/llama'))).toBe(false)
  })

  test('what cannot be run is an error with a code', patience, async () => {
    const wrong: readonly (readonly [readonly string[], string])[] = [
      [['run', join(folder, 'nothing')], 'E_ARTIFACT_FILE'],
      [['run', artifact], 'E_ARGUMENT'],
      [['run', artifact, '-p', 'Once'], 'E_NO_TOKENIZER'],
      [['run', 'models/llama.dsl', '--preset', 'tiny'], 'E_NO_WEIGHTS'],
      [['logits', artifact, '--tokens', '256'], 'E_TOKEN_RANGE'],
      [['compile', 'models/llama.dsl', '--preset', 'tinny'], 'L404'],
    ]
    for (const [args, errorCode] of wrong) {
      const { code, stdout, stderr } = await llamac(...args)
      expect([args, code, stdout]).toEqual([args, 1, ''])
      expect(stderr).toContain(`error[${errorCode}]`)
    }
  })

  test('a call is read as it was written', () => {
    const name = fc.stringMatching(/^[a-z_]\w{0,7}$/)
    const scalar = fc.oneof(
      fc.integer(),
      fc.boolean(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0),
    )
    const value = fc.oneof(scalar, fc.array(scalar, { maxLength: 5 }), fc.array(fc.array(scalar, { maxLength: 3 }), { maxLength: 3 }))
    fc.assert(
      fc.property(
        name,
        fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key, maxLength: 4 }),
        fc.constantFrom('', ' ', '\n'),
        (entry, args, gap) => {
          const text = `${gap}${entry}(${gap}${args.map(([key, given]) => `${key}:${gap}${JSON.stringify(given)}`).join(`,${gap}`)})${gap}`
          expect(parseCall(text)).toEqual({ entry, args: Object.fromEntries(args) })
        },
      ),
    )
  })
})
