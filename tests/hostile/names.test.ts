// Names and texts from files never become code or terminal commands: typed bindings keep their shape, programs stay valid, output
// holds no control characters.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { ts } from 'ts-morph'
import { afterAll, expect, test, vi } from 'vitest'
import { plainText, reportError } from '../../cli/report.ts'
import { createNullGpu } from '../../cli/webgpu-node.ts'
import { emitTypes } from '../../compiler/artifact/bindings.ts'
import { compile } from '../../compiler/index.ts'
import { printable } from '../../dsl/text-width.ts'
import { type EntryManifest, type Manifest, manifestFormat } from '../../runtime/artifact/manifest.ts'
import { load } from '../../runtime/index.ts'
import { smallGguf, writeGguf, writeSafetensors } from './write-files.ts'

const nasty = fc.oneof(
  // biome-ignore lint/suspicious/noTemplateCurlyInString: that it is no template is the point
  fc.constantFrom(
    '*/ evil() /*',
    '`${evil()}`',
    "'; evil() //",
    '"]: never }; evil() /*',
    '\u2028evil()',
    '\r\nevil()',
    '__proto__',
    'constructor',
    '</script>',
    '\\u002a/',
    '@param {',
    '/**',
    '*',
    '**/',
    '\ud800',
    '\u202e',
    '\u001b[2J',
    '',
  ),
  fc.string({ unit: 'binary', maxLength: 24 }),
  fc.string({ maxLength: 24 }),
)

/** Kinds of all nodes in order; a quoted property name counts as a plain one. Comments are no nodes. */
function shapeOf(source: string): readonly string[] {
  const file = ts.createSourceFile('bindings.ts', source, ts.ScriptTarget.Latest, true)
  expect(
    (file as unknown as { parseDiagnostics: readonly ts.Diagnostic[] }).parseDiagnostics.map(({ messageText }) => messageText),
  ).toEqual([])
  const kinds: string[] = []
  const visit = (node: ts.Node): void => {
    const isName = ts.isPropertySignature(node.parent) || ts.isMethodSignature(node.parent) ? node === node.parent.name : false
    kinds.push(isName ? 'name' : ts.SyntaxKind[node.kind])
    ts.forEachChild(node, visit)
  }
  ts.forEachChild(file, visit)
  return kinds
}

interface Texts {
  readonly model: string
  readonly preset: string
  readonly doc: string
  readonly entry: string
  readonly argument: string
  readonly index: string
  readonly label: string
  readonly symbol: string
}

const bindings = ({ model, preset, doc, entry, argument, index, label, symbol }: Texts): string => {
  const described: EntryManifest = {
    name: entry,
    doc,
    arguments: [
      {
        kind: 'tensor',
        name: argument,
        dtype: 'i32',
        dims: [
          { const: 0, terms: [[symbol, 2]] },
          { const: 3, terms: [] },
        ],
        labels: [label, label],
        below: 5,
      },
      { kind: 'index', name: index },
    ],
    symbols: [
      { name: symbol, kind: 'size', min: 1, max: 4 },
      { name: index, kind: 'index', min: 0, max: 4 },
    ],
    limits: [{ left: { const: 0, terms: [[symbol, 1]] }, right: 4, why: doc }],
    results: [{ dtype: 'f32', dims: [{ const: 0, terms: [[symbol, 1]] }], labels: [label] }],
  }
  return emitTypes({
    format: manifestFormat,
    generator: '',
    model,
    preset,
    config: {},
    parameters: 0,
    math: 'fast',
    entries: [described],
    states: [],
    tensors: [],
    shards: [],
    variants: [],
  } satisfies Manifest)
}

test('typed bindings have one shape whatever things are called', () => {
  const plain = shapeOf(bindings({ model: 'M', preset: 'p', doc: 'doc', entry: 'e', argument: 'a', index: 'i', label: 'l', symbol: 's' }))
  expect(plain.length).toBeGreaterThan(60)
  const texts = fc.record({
    model: nasty,
    preset: nasty,
    doc: nasty,
    entry: nasty,
    argument: nasty,
    index: nasty,
    label: nasty,
    symbol: nasty,
  })
  // Two of the names as one change what must be given, so they differ.
  fc.assert(
    fc.property(texts, (given) => {
      const distinct = { ...given, argument: `1${given.argument}`, index: `2${given.index}`, symbol: `3${given.symbol}` }
      expect(shapeOf(bindings(distinct))).toEqual(plain)
    }),
    { numRuns: 60 },
  )
})

const words = [
  // WGSL
  'array',
  'atomic',
  'fn',
  'var',
  'struct',
  'loop',
  'while',
  'switch',
  'vec4',
  'mat2x2',
  'f32_',
  'main',
  'workgroup',
  'bitcast',
  'select',
  'exp',
  'continuing',
  'diagnostic',
  'enable',
  'requires',
  'alias',
  'discard',
  '_',
  '__',
  '_x',
  'a__b',
  // WAT
  'func',
  'memory',
  'param',
  'local',
  'i32_',
  'global',
  'table',
  // JavaScript
  'class',
  'function',
  'await',
  'yield',
  'new',
  'delete',
  'this',
  'arguments',
  'eval',
  'constructor',
  'toString',
  'hasOwnProperty',
  'valueOf',
  'then',
  'default',
  'interface',
  'enum',
] as const

const textOf = (text: string): string => `"${text.replaceAll(/[\\"]/g, (char) => `\\${char}`).replaceAll(/[\n\r]/g, '')}"`
const commentOf = (text: string): string => text.replaceAll(/[\n\r]/g, ' ')

test('programs are valid and texts come out as they went in, whatever words name things and whatever texts say', async () => {
  const gpu = await createNullGpu()
  const names = fc.uniqueArray(fc.constantFrom(...words), { minLength: 8, maxLength: 8 })
  let ran = 0
  await fc.assert(
    fc.asyncProperty(names, nasty, nasty, async ([model, block, weight, part, entry, argument, field, size], doc, text) => {
      const source = `module ${size}
      config Numbers { ${field}: dim = 4 note: text = ${textOf(text)} }
      block B${block} uses Numbers {
        weight ${weight}: [${field}]
        fn forward(x: real[${field}]) -> real[${field}] { return exp(x) + ${weight} }
      }
      model M${model} uses Numbers {
        part ${part}: B${block}()
        /// ${commentOf(doc)}
        entry ${entry}(${argument}: real[${field}]) -> real[${field}] { return ${part}(${argument}) }
        preset ${textOf(text)} { ${field} = 4 }
      }`
      const result = await compile(new Map([['m.dsl', source]]), { entry: 'm.dsl', seedWeights: 1, target: ['wasm', 'webgpu'] })
      // An op of the language keeps its name where a member shadows it, and the like: a diagnostic is an answer too.
      if (!result.ok) {
        expect(result.diagnostics.map(({ code }) => code).join()).toMatch(/^L/)
        return
      }
      const { manifest } = result.compilation.contents
      expect(manifest.config['note']).toBe(textOf(text).slice(1, -1).replaceAll(/\\(.)/g, '$1'))
      for (const device of ['wasm', 'webgpu'] as const) {
        await using loaded = await load(result.artifact, device === 'webgpu' ? { device, gpu } : { device })
        const [answer] = await loaded.createSession().call(entry!, { [argument!]: [0, 0, 0, 0] })
        expect(answer!.dims).toEqual([4])
      }
      shapeOf(emitTypes({ ...manifest, format: manifestFormat, tensors: [], shards: [], variants: [] }))
      ran++
    }),
    { numRuns: 25 },
  )
  expect(ran).toBeGreaterThan(12)
})

const folder = mkdtempSync(join(tmpdir(), 'llamac-names-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const llamac = (...args: readonly string[]): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(process.execPath, [fileURLToPath(new URL('../../cli/main.ts', import.meta.url)), ...args], {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
  })

/** What could steer a terminal: everything but line breaks. */
const steering = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]/u
const steers = (text: string): boolean => steering.test(text.replaceAll('\n', ''))

const evil = '\u001b]0;owned\u0007\u001b[2J\u009b31m\u202egnp.exe\rfake'

test('inspect, check and errors print no control characters', () => {
  const plan = smallGguf()
  const gguf = join(folder, 'evil.gguf')
  writeFileSync(
    gguf,
    writeGguf({
      ...plan,
      pairs: [
        ...plan.pairs.map(([key, value]) =>
          key === 'general.architecture' ? ([key, { type: 8 as const, value: evil }] as const) : ([key, value] as const),
        ),
        [`${evil}\nkey`, { type: 8, value: `${evil}\nvalue` }],
      ],
      tensors: plan.tensors.map((tensor, i) => (i === 0 ? { ...tensor, name: `${evil}\n  forged  f32 [1]` } : tensor)),
    }),
  )
  const safetensors = join(folder, 'evil.safetensors')
  writeFileSync(safetensors, writeSafetensors(JSON.stringify({ [evil]: { dtype: 'U8', shape: [1], data_offsets: [0, 1] } }), 1))
  const broken = join(folder, 'broken.safetensors')
  writeFileSync(broken, writeSafetensors(JSON.stringify({ [evil]: { dtype: 'U9', shape: [1], data_offsets: [0, 1] } }), 1))
  const source = join(folder, 'evil.dsl')
  writeFileSync(
    source,
    `module m config C { v: dim = 4 } model M uses C { entry e(x: real[v]) -> real[v] { return x } preset "${evil.replaceAll('\r', '')}" { v = 4 } }`,
  )
  const runs = [
    llamac('inspect', gguf),
    llamac('inspect', gguf, '--json'),
    llamac('inspect', safetensors),
    llamac('inspect', broken),
    llamac('check', source, '--all-presets'),
    llamac('check', source, '--preset', evil),
    llamac('compile', 'models/llama.dsl', '--preset', 'tiny', '--weights', safetensors),
    llamac('compile', source, '--set', `${evil}=1`),
    llamac('run', join(folder, `${evil.replaceAll('\u0000', '')}nowhere`)),
  ]
  for (const [i, { stdout, stderr }] of runs.entries()) {
    expect(steers(stdout) || steers(stderr), `${i}: ${JSON.stringify(stdout + stderr)}`).toBe(false)
    expect(stderr).not.toMatch(/^\s+at .*:\d+:\d+/m)
  }
  expect(runs.map(({ status }) => status)).toEqual([0, 0, 0, 1, 0, 1, 1, 1, 1])
  // A name does not begin a line of its own.
  expect(runs[0]!.stdout.split('\n').filter((line) => line.startsWith('  forged'))).toEqual([])
  expect(JSON.parse(runs[1]!.stdout).tensors[0].name).toBe(`${evil}\n  forged  f32 [1]`)
})

test('faults of ours are told as such: a code, one message, a stack only when asked for', async () => {
  const written: string[] = []
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => written.push(String(text)) > 0)
  try {
    expect(await reportError(new Error('internal: the plan\nhas a hole'))).toBe(1)
    expect(await reportError(Object.assign(new Error('EACCES: permission denied'), { syscall: 'open' }))).toBe(1)
    expect(await reportError(new RangeError(evil))).toBe(1)
  } finally {
    write.mockRestore()
  }
  expect(written.join('')).toMatch(/^error\[E_INTERNAL\]: the plan has a hole\n {3}= .*please report it/)
  expect(written.join('')).toContain('error[E_FILE]: EACCES')
  expect(steers(written.join(''))).toBe(false)
  expect(written.join('')).not.toContain('names.test.ts')
})

test('plain text keeps lines and letters', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(steers(plainText(text))).toBe(false)
      expect(plainText(text).split('\n').length).toBe(text.split('\n').length)
      expect(printable(printable(text))).toBe(printable(text))
    }),
  )
})
