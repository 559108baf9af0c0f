// Artifacts from strangers: any value of the manifest, of a program's description or of the tokenizer replaced, with hashes made
// right again, is a typed error or harmless; nothing runs before its hash was checked; nothing outside the folder is read.

import binaryen from 'binaryen'
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { packArtifact } from '../../compiler/artifact/write.ts'
import type { Manifest, WasmVariant, WebgpuVariant } from '../../runtime/artifact/manifest.ts'
import { readArtifact, sha256 } from '../../runtime/artifact/read.ts'
import { LlamacError } from '../../runtime/error.ts'
import { errorCodes } from '../../runtime/error-codes.ts'
import { createTokenizer, load, type CompactTokenizer, type Model } from '../../runtime/index.ts'
import { checkTokenizer } from '../../runtime/artifact/check-tokenizer.ts'
import { splitRule } from '../../compiler/weights/tokenizers/split-rules.ts'
import { createNullGpu } from '../../cli/webgpu-node.ts'
import { writeCharsmap } from '../runtime/charsmap-writer.ts'
import { contents } from '../runtime/tiny-artifact.ts'

type Files = ReadonlyMap<string, Uint8Array>
// biome-ignore lint/suspicious/noExplicitAny: JSON that is to be damaged has no type
type Loose = any
const encode = (value: unknown): Uint8Array<ArrayBuffer> => new TextEncoder().encode(JSON.stringify(value))
const decode = <T>(bytes: Uint8Array | undefined): T => JSON.parse(new TextDecoder().decode(bytes)) as T

const tokenizer = {
  version: 2,
  kind: 'spm',
  pieces: ['<unk>', '<s>', 'a', 'b'],
  scores: [0, 0, -1, -2],
  special: [0, 1],
  bytes: [],
  bos: 1,
  unknown: 0,
  addBos: true,
  addPrefixSpace: false,
} as const
const original: Files = await packArtifact({
  ...contents(),
  tokenizer: { ...tokenizer, pieces: [...tokenizer.pieces], scores: [...tokenizer.scores], special: [0, 1], bytes: [] },
})
const manifest = decode<Manifest>(original.get('manifest.json'))
const wasmAt = manifest.variants.findIndex(({ target }) => target === 'wasm')

/** A file with the artifact's hashes of it made right. */
async function withFile(name: string, bytes: Uint8Array<ArrayBuffer>, base: Manifest = manifest): Promise<Files> {
  const hash = await sha256(bytes)
  const variants = base.variants.map((variant) =>
    'program' in variant && variant.program === name ? { ...variant, sha256: hash } : variant,
  )
  const own = base.tokenizer?.file === name ? { tokenizer: { file: name, sha256: hash } } : {}
  return new Map(original).set(name, bytes).set('manifest.json', encode({ ...base, variants, ...own }))
}

const withManifest = (change: (copy: Loose) => void): Files => {
  const copy = structuredClone(manifest)
  change(copy)
  return new Map(original).set('manifest.json', encode(copy))
}

/** Loads and runs one step; undefined, or the code of what was refused. Anything else thrown fails the test. */
async function outcome(files: Files, options: Parameters<typeof load>[1] = { device: 'wasm' }): Promise<string | undefined> {
  let model: Model | undefined
  try {
    model = await load(files, options)
    model.tokenizer?.decode(model.tokenizer.encode('ab c'))
    await model.createSession().call('step', { tokens: [1, 2], start: 0 })
    return undefined
  } catch (error) {
    if (!(error instanceof LlamacError)) throw error
    expect(Object.keys(errorCodes)).toContain(error.code)
    return error.code
  } finally {
    await model?.dispose()
  }
}

/** Paths to every value inside a JSON value, lists and objects too. */
function paths(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  const inner =
    typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([key, item]) => paths(item, [...path, Array.isArray(value) ? Number(key) : key]))
      : []
  return path.length === 0 ? inner : [path, ...inner]
}

function replaced<T>(value: T, path: readonly (string | number)[], by: unknown): T {
  const copy = structuredClone(value)
  let at: Loose = copy
  for (const step of path.slice(0, -1)) at = at[step]
  at[path.at(-1)!] = by
  return copy
}

const values = fc.constantFrom<unknown>(
  -1,
  0,
  1,
  2,
  3,
  0.5,
  7,
  1000,
  4096,
  65536,
  2 ** 31,
  2 ** 32 - 4,
  2 ** 32,
  2 ** 53 - 1,
  1e300,
  null,
  true,
  '',
  'step',
  '../x',
  '/etc/passwd',
  'http://x/',
  '__proto__',
  '\u001b[2J',
  [],
  {},
  [[[[]]]],
  'x'.repeat(100_000),
)

test('the artifact is good as it is', async () => {
  expect(await outcome(original)).toBeUndefined()
})

test('manifest.json: any value replaced', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths(manifest)), values, async (path, value) => {
      await outcome(new Map(original).set('manifest.json', encode(replaced(manifest, path, value))))
    }),
    { numRuns: 600 },
  )
})

test('a manifest nested without end, or with keys that name nothing', async () => {
  const text = (changed: string): Files => new Map(original).set('manifest.json', new TextEncoder().encode(changed))
  expect(await outcome(text('['.repeat(2_000_000)))).toBe('E_ARTIFACT_MANIFEST')
  expect(await outcome(text(`${'['.repeat(200_000)}${']'.repeat(200_000)}`))).toBe('E_ARTIFACT_MANIFEST')
  expect(
    await outcome(text(JSON.stringify(manifest).replace('"shards":[', `"shards":[${'['.repeat(100_000)}${']'.repeat(100_000)},`))),
  ).toBe('E_ARTIFACT_MANIFEST')
  expect(await outcome(text(JSON.stringify(manifest).replace('{', '{"__proto__":{"entries":[]},"constructor":1,')))).toBeUndefined()
  expect(({} as { entries?: unknown }).entries).toBeUndefined()
})

test.each([
  '../weights.bin',
  '/etc/passwd',
  'a/b',
  'a\\b',
  '..',
  '.',
  '',
  'C:x',
  'http://example.org/x',
  '\u0000',
  '.hidden',
  'x'.repeat(300),
])('a file outside the folder: %j', async (name) => {
  const asked: string[] = []
  const files = (changed: Files) => ({
    where: 'test',
    read: async (file: string) => {
      asked.push(file)
      return (changed.get(file) ?? new Uint8Array()) as Uint8Array<ArrayBuffer>
    },
    async *stream(file: string) {
      asked.push(file)
      yield (changed.get(file) ?? new Uint8Array()) as Uint8Array<ArrayBuffer>
    },
  })
  for (const change of [
    (copy: Loose) => {
      copy.shards[0].file = name
    },
    (copy: Loose) => {
      copy.variants[wasmAt].program = name
    },
    (copy: Loose) => {
      copy.tokenizer.file = name
    },
  ]) {
    await expect(readArtifact(files(withManifest(change)))).rejects.toMatchObject({ code: 'E_ARTIFACT_MANIFEST' })
  }
  expect(new Set(asked)).toEqual(new Set(['manifest.json']))
})

describe('WASM programs', () => {
  const program = (manifest.variants[wasmAt] as WasmVariant).program
  const wasm = (text: string): Uint8Array<ArrayBuffer> => {
    const module = binaryen.parseText(text)
    module.setFeatures(binaryen.Features.All)
    return new Uint8Array(module.emitBinary())
  }
  const memory = '(memory (import "env" "memory") 1)'
  const step = '(func (export "step") (param i32 i32 i32))'

  test.each<[string, () => Uint8Array<ArrayBuffer>]>([
    ['no module', () => new TextEncoder().encode('not a module')],
    ['empty', () => new Uint8Array()],
    ['another import', () => wasm(`(module ${memory} (import "env" "fetch" (func)) ${step})`)],
    ['another memory', () => wasm(`(module (memory (import "host" "memory") 1) ${step})`)],
    ['more memory than there is', () => wasm(`(module (memory (import "env" "memory") 60000) ${step})`)],
    ['no export', () => wasm(`(module ${memory} (func (export "other")))`)],
    ['an export that is no function', () => wasm(`(module ${memory} (global (export "step") i32 (i32.const 1)))`)],
    ['a trap', () => wasm(`(module ${memory} (func (export "step") (param i32 i32 i32) unreachable))`)],
    ['64-bit parameters', () => wasm(`(module ${memory} (func (export "step") (param i64 i64 i64)))`)],
    ['a trap at the start', () => wasm(`(module ${memory} (func $go unreachable) (start $go) ${step})`)],
    [
      'endless recursion',
      () => wasm(`(module ${memory} (func $f (export "step") (param i32 i32 i32) (call $f (i32.const 0) (i32.const 0) (i32.const 0))))`),
    ],
  ])('%s', async (_, make) => {
    expect(await outcome(await withFile(program, make()))).toBe('E_DEVICE')
  })

  test('addresses outside the arena, symbols and arguments that are none', async () => {
    for (const change of [
      (entry: Loose) => {
        entry.arguments.tokens = 2 ** 32 - 4
      },
      (entry: Loose) => {
        entry.arguments.tokens = 2049
      },
      (entry: Loose) => {
        entry.results[0] = 3060
      },
      (entry: Loose) => {
        entry.symbols = ['seq', 'other']
      },
      (entry: Loose) => {
        entry.arguments.more = 2048
      },
      (entry: Loose) => {
        delete entry.arguments.tokens
      },
    ])
      expect(await outcome(withManifest((copy) => change(copy.variants[wasmAt].entries.step)))).toBe('E_ARTIFACT_MANIFEST')
  })
})

describe('WebGPU programs, on a driver that checks and runs nothing', () => {
  const { program } = manifest.variants.find((variant): variant is WebgpuVariant => variant.target === 'webgpu')!
  const described = decode<Loose>(original.get(program))

  test('any value replaced', async () => {
    const gpu = await createNullGpu()
    const device = { device: 'webgpu', gpu } as const
    expect(await outcome(original, device)).toBeUndefined()
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths(described)), values, async (path, value) => {
        await outcome(await withFile(program, encode(replaced(described, path, value))), device)
      }),
      { numRuns: 150 },
    )
  })

  test('buffers, ranges and grids out of range', async () => {
    const code = async (change: (copy: Loose) => void): Promise<string | undefined> => {
      const copy = structuredClone(described)
      change(copy)
      return outcome(await withFile(program, encode(copy)), { device: 'webgpu', gpu: await createNullGpu() })
    }
    expect(
      await code((p) => {
        p.ranges[0] = [99]
      }),
    ).toBe('E_ARTIFACT_MANIFEST')
    expect(
      await code((p) => {
        p.ranges[0] = [99, 0, 16]
      }),
    ).toBe('E_ARTIFACT_MANIFEST')
    expect(
      await code((p) => {
        p.ranges[0] = [0, 2 ** 40, 16]
      }),
    ).toBe('E_ARTIFACT_MANIFEST')
    for (const run of [
      { times: 2 ** 40, rows: [[0]], steps: [[0]] },
      { times: 2, rows: [[0]], steps: [] },
      { times: 0.5, rows: [[0]], steps: [[0]] },
      { times: 2, rows: ['x'], steps: [[0]] },
    ]) {
      expect(
        await code((p) => {
          p.ranges = [run]
        }),
      ).toBe('E_ARTIFACT_MANIFEST')
    }
    expect(
      await code((p) => {
        p.grids[0][0][0].size.const = 1e9
      }),
    ).toBe('E_LIMIT')
    // Fewer than no workgroups are none.
    expect(
      await code((p) => {
        p.grids[0][0][0].size.const = -1e9
      }),
    ).toBeUndefined()
    expect(
      await code((p) => {
        p.grids[0][0][0].size.terms = [['other', 1]]
      }),
    ).toBe('E_ARTIFACT_MANIFEST')
    expect(
      await code((p) => {
        p.entries.step.results[0].offset = 1020
      }),
    ).toBe('E_ARTIFACT_MANIFEST')
    expect(
      await code((p) => {
        p.entries.step.arguments.tokens.buffer = 9
      }),
    ).toBe('E_ARTIFACT_MANIFEST')
    expect(
      await code((p) => {
        p.entries.step.dispatches[0][0] = 7
      }),
    ).toBe('E_ARTIFACT_MANIFEST')
    expect(
      await code((p) => {
        p.buffers[3][1] = 2 ** 50
      }),
    ).toBe('E_ARTIFACT_MANIFEST')
    const manyTimes = Array.from({ length: 2 ** 21 }, (_, i) => i % 2)
    for (const runs of [[0, 2 ** 30], [-1, 1], [0, 0.5], [0], ['length', 1], manyTimes]) {
      expect(
        await code((p) => {
          p.modules[0][1] = runs
        }),
      ).toBe('E_ARTIFACT_MANIFEST')
    }
    expect(
      await code((p) => {
        p.lines[0] = 'this is no shader'
      }),
    ).toBe('E_DEVICE')
    expect(
      await code((p) => {
        p.lines[0] = 'fn f('.repeat(20_000)
      }),
    ).toBe('E_DEVICE')
  })
})

const wordpiece: CompactTokenizer = {
  version: 2,
  kind: 'wordpiece',
  pieces: ['[UNK]', '[CLS]', '[SEP]', '▁a', 'b', '▁c'],
  normalise: ['clean', 'strip-accents', { replace: 'x', by: 'ab' }],
  longestWord: 9,
  special: [0, 1, 2],
  added: [{ id: 5, left: true, right: true }],
  bytes: [],
  bos: 1,
  eos: 2,
  unknown: 0,
  addBos: true,
  addEos: true,
  addPrefixSpace: false,
  tidy: true,
}
const byteLevel: CompactTokenizer = {
  version: 2,
  kind: 'bpe',
  pieces: ['<s>', ...'abcdĠéðŁ', 'ab', 'abc'],
  packedMerges: { before: 8, cuts: '#%' },
  split: splitRule('gpt-4o'),
  normalise: ['nfc'],
  special: [0],
  bytes: [],
  unknown: 1,
  addBos: false,
  addPrefixSpace: false,
}

const unigram: CompactTokenizer = {
  ...wordpiece,
  kind: 'unigram',
  pieces: ['<unk>', '<s>', '</s>', '▁a', 'b', '▁c'],
  scores: [0, 0, 0, -1, -2, -3],
  normalise: [{ charsmap: writeCharsmap(new Map([['é', 'b']])) }, 'single-spaces'],
  addPrefixSpace: true,
  prefix: { unlessSpace: true },
}

test.each([wordpiece, byteLevel, unigram])(
  'a tokenizer of another kind ($kind): any value replaced is refused with a code, or runs',
  (compact) => {
    const use = (value: unknown): void => {
      const tokenizer = createTokenizer(checkTokenizer(value))
      tokenizer.decode(tokenizer.encode('abc ab[SEP] c. éab\u0301 \ud83d\ude00', { special: true }), { special: true })
    }
    use(compact)
    fc.assert(
      fc.property(fc.constantFrom(...paths(compact)), values, (path, value) => {
        try {
          use(JSON.parse(JSON.stringify(replaced(compact, path, value))))
        } catch (error) {
          if (!(error instanceof LlamacError)) throw error
          expect(Object.keys(errorCodes)).toContain(error.code)
        }
      }),
      { numRuns: 1500 },
    )
  },
)

test('tokenizer.json: any value replaced', async () => {
  const compact = decode<object>(original.get('tokenizer.json'))
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths(compact)), values, async (path, value) => {
      await outcome(await withFile('tokenizer.json', encode(replaced(compact, path, value))))
    }),
    { numRuns: 200 },
  )
})

describe('nothing is used before its hash was checked', () => {
  afterEach(() => void vi.restoreAllMocks())

  test('a program with another hash is never compiled, a shader never given to the GPU, a shard never uploaded', async () => {
    const compiled = vi.spyOn(WebAssembly, 'compile')
    const instantiated = vi.spyOn(WebAssembly, 'instantiate')
    const flipped = (name: string): Files => {
      const bytes = original.get(name)!.slice()
      bytes[bytes.length >> 1]! ^= 1
      return new Map(original).set(name, bytes)
    }
    const { program } = manifest.variants[wasmAt] as WasmVariant
    expect(await outcome(flipped(program))).toBe('E_ARTIFACT_HASH')
    // relaxed SIMD is probed with a module of the runtime's own; the artifact's never was seen.
    const length = original.get(program)!.length
    for (const spy of [compiled, instantiated])
      for (const [given] of spy.mock.calls) expect((given as unknown as Uint8Array).byteLength ?? 0).not.toBe(length)
    const seen: number[] = []
    await expect(
      readArtifact(flipped(manifest.shards[0]!.file)).then((artifact) => artifact.loadTensors((tensor) => void seen.push(tensor))),
    ).rejects.toMatchObject({ code: 'E_ARTIFACT_HASH' })
    expect(seen).toEqual([])
  })
})
