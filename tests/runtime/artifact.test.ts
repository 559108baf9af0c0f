// Writing and reading artifacts: folders are complete or absent, every damage has a typed error, big weights stream in chunks,
// typed bindings compile.
import { tensorBytes } from '../../compiler/artifact/contents.ts'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { Project } from 'ts-morph'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { emitTypes } from '../../compiler/artifact/bindings.ts'
import { planShards } from '../../compiler/artifact/shards.ts'
import { packArtifact, writeArtifact } from '../../compiler/artifact/write.ts'
import type { ArtifactContents, ArtifactTensor } from '../../compiler/artifact/write.ts'
import { type Manifest, manifestFormat } from '../../runtime/artifact/manifest.ts'
import { readArtifact } from '../../runtime/artifact/read.ts'
import type { ArtifactFiles, ArtifactSource } from '../../runtime/artifact/sources.ts'
import { LlamacError } from '../../runtime/error.ts'
import * as fake from './fake-model.ts'
import * as tiny from './tiny-artifact.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llamac-artifact-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Bytes that tell their tensor and place. */
const filled = (path: string, bytes: number, seed: number): ArtifactTensor => ({
  path,
  dims: [bytes],
  format: 'i8',
  layout: 'plain',
  bytes,
  pieces() {
    const values = new Uint8Array(bytes)
    for (let i = 0; i < bytes; i++) values[i] = i * 31 + (i >> 8) * 17 + seed
    const cut = seed * 100
    return [values.subarray(0, cut), values.subarray(cut)]
  },
})

const withTensors = (tensors: readonly ArtifactTensor[]): ArtifactContents => ({ ...fake.contents, tensors })

async function loadAll(source: ArtifactSource): Promise<Map<string, Uint8Array>> {
  const artifact = await readArtifact(source)
  const found = new Map(artifact.manifest.tensors.map(({ path, bytes }) => [path, new Uint8Array(bytes)]))
  await artifact.loadTensors((tensor, offset, bytes) => found.get(artifact.manifest.tensors[tensor]!.path)!.set(bytes, offset))
  return found
}

const big = withTensors([
  filled('a', 1000, 1),
  filled('b', 9 * 2 ** 20 + 3, 2),
  filled('c', 0, 3),
  filled('d', 4 * 2 ** 20, 4),
  filled('e', 0, 5),
])

describe('round trip', () => {
  test('folder, memory, URL and pieces of any size give the same tensors', async () => {
    const path = join(folder, 'big')
    const manifest = await writeArtifact(big, path)
    const files = await packArtifact(big)
    expect((await readdir(path)).sort()).toEqual([...files.keys()].sort())
    for (const [name, bytes] of files) expect(Buffer.compare(await readFile(join(path, name)), bytes), name).toBe(0)
    expect(manifest.tensors.every(({ offset }) => offset % 256 === 0)).toBe(true)

    const pieces: ArtifactFiles = {
      where: 'pieces',
      read: async (name) => new Uint8Array(files.get(name)!),
      async *stream(name) {
        const bytes = new Uint8Array(files.get(name)!)
        for (let at = 0, size = 1; at < bytes.length; at += size, size = size * 3 + 70_001) yield bytes.subarray(at, at + size)
      },
    }
    const server = createServer((request, response) => {
      const bytes = files.get(request.url!.replace(/^\/model\//, ''))
      if (bytes) response.end(bytes)
      else response.writeHead(404).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    try {
      for (const source of [path, files, pieces, `http://127.0.0.1:${port}/model`]) {
        const found = await loadAll(source)
        for (const tensor of big.tensors) expect(Buffer.compare(found.get(tensor.path)!, tensorBytes(tensor)), tensor.path).toBe(0)
      }
      await expect(readArtifact(`http://127.0.0.1:${port}/other`)).rejects.toMatchObject({ code: 'E_ARTIFACT_FILE' })
    } finally {
      server.close()
    }
  })

  test('shards: in order, aligned, within the limit unless one tensor is larger', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5000)), fc.integer({ min: 256, max: 4096 }), (sizes, limit) => {
        const { places, sizes: shards } = planShards(sizes, limit)
        let at = { shard: 0, end: 0 }
        for (const [index, { shard, offset }] of places.entries()) {
          expect(offset % 256).toBe(0)
          expect(shard > at.shard || offset >= at.end).toBe(true)
          if (offset > 0) expect(offset + sizes[index]!).toBeLessThanOrEqual(limit)
          at = { shard, end: offset + sizes[index]! }
          expect(at.end).toBeLessThanOrEqual(shards[shard]!)
        }
      }),
    )
  })
})

describe('complete or absent', () => {
  test('a failure leaves nothing; an older artifact stays until the new one is whole', async () => {
    const path = join(folder, 'whole')
    const failing = withTensors([
      filled('a', 100, 1),
      {
        ...filled('b', 100, 2),
        pieces: () => {
          throw new Error('broken')
        },
      },
    ])
    await expect(writeArtifact(failing, path)).rejects.toThrow('broken')
    expect((await readdir(folder)).filter((name) => name.includes('whole'))).toEqual([])
    await writeArtifact(withTensors([filled('a', 100, 1)]), path)
    await expect(writeArtifact(failing, path)).rejects.toThrow('broken')
    await expect(writeArtifact(big, path, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'E_ABORTED' })
    expect((await loadAll(path)).size).toBe(1)
    await writeArtifact(withTensors([filled('x', 10, 1), filled('y', 10, 1)]), path)
    expect([...(await loadAll(path)).keys()]).toEqual(['x', 'y'])
    expect((await readdir(folder)).filter((name) => name.startsWith('.'))).toEqual([])
  })

  test('what is not an artifact is not overwritten', async () => {
    const path = join(folder, 'precious')
    await writeArtifact(fake.contents, path)
    await writeFile(join(path, 'manifest.json'), '{"format": 3}')
    await expect(writeArtifact(fake.contents, path)).rejects.toMatchObject({ code: 'E_OUTPUT_FOLDER' })
    const file = join(folder, 'file')
    await writeFile(file, 'text')
    await expect(writeArtifact(fake.contents, file)).rejects.toMatchObject({ code: 'E_OUTPUT_FOLDER' })
    expect(await readFile(file, 'utf8')).toBe('text')
  })
})

describe('damage', () => {
  const small = withTensors([filled('a', 300, 1), filled('b', 77, 2)])

  /** Everything a loader reads. */
  async function readEverything(files: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const artifact = await readArtifact(files)
    await artifact.tokenizer()
    for (const variant of artifact.manifest.variants) if (variant.target !== 'reference') await artifact.program(variant)
    await artifact.loadTensors(() => {})
  }

  test.each(['weights-000.bin', 'tokenizer.json', 'program-0.webgpu.json'])('%s: missing, cut off, longer, one bit', async (name) => {
    const files = await packArtifact({ ...tiny.contents(), tensors: [tiny.contents().tensors[0]!], tokenizer: fake.tokenizer })
    const bytes = files.get(name)!
    await readEverything(files)
    const missing = new Map(files)
    missing.delete(name)
    await expect(readEverything(missing)).rejects.toMatchObject({ code: 'E_ARTIFACT_FILE' })
    const codes = expect.stringMatching(/^E_ARTIFACT_(HASH|SIZE)$/)
    await expect(readEverything(new Map(files).set(name, bytes.subarray(0, -1)))).rejects.toMatchObject({ code: codes })
    await expect(readEverything(new Map(files).set(name, bytes.subarray(0, 0)))).rejects.toMatchObject({ code: codes })
    await expect(readEverything(new Map(files).set(name, Uint8Array.of(...bytes, 0)))).rejects.toMatchObject({ code: codes })
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length * 8 - 1), async (bit) => {
        const flipped = bytes.slice()
        flipped[bit >> 3]! ^= 1 << (bit & 7)
        await expect(readEverything(new Map(files).set(name, flipped))).rejects.toMatchObject({ code: 'E_ARTIFACT_HASH' })
      }),
      { numRuns: 40 },
    )
  })

  test('manifest.json: every prefix, and any value replaced by another, is a typed error or harmless', async () => {
    const files = await packArtifact(small)
    const bytes = files.get('manifest.json')!
    for (let length = 0; length < bytes.length - 2; length += 7) {
      await expect(readArtifact(new Map(files).set('manifest.json', bytes.subarray(0, length)))).rejects.toMatchObject({
        code: 'E_ARTIFACT_MANIFEST',
      })
    }
    const text = new TextDecoder().decode(bytes)
    const values = [...text.matchAll(/(?<=[:[,]\s*)("[^"]*"|-?\d+)/g)]
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...values),
        fc.constantFrom('-1', '1e300', '0.5', '4294967296', '99', 'null', '"../x"', '[]', '{}', '"wasm"'),
        async (match, value) => {
          const changed = new TextEncoder().encode(text.slice(0, match.index) + value + text.slice(match.index + match[0].length))
          try {
            await readEverything(new Map(files).set('manifest.json', changed))
          } catch (error) {
            expect(error, `${match[0]} → ${value}`).toBeInstanceOf(LlamacError)
          }
        },
      ),
      { numRuns: 400 },
    )
  })

  test('another format is told apart from damage', async () => {
    const files = await packArtifact(small)
    const manifest = JSON.parse(new TextDecoder().decode(files.get('manifest.json'))) as Manifest
    const changed = (fields: object) =>
      readArtifact(new Map(files).set('manifest.json', new TextEncoder().encode(JSON.stringify({ ...manifest, ...fields }))))
    for (const format of [1, manifestFormat - 1, manifestFormat + 1])
      await expect(changed({ format, shards: 'new' })).rejects.toMatchObject({ code: 'E_ARTIFACT_FORMAT' })
    await expect(changed({ tensors: [...manifest.tensors].reverse() })).rejects.toMatchObject({ code: 'E_ARTIFACT_MANIFEST' })
    await expect(changed({ shards: [{ ...manifest.shards[0], file: '../../x' }] })).rejects.toMatchObject({ code: 'E_ARTIFACT_MANIFEST' })
  })

  test('a folder that is no artifact', async () => {
    await expect(readArtifact(join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'E_ARTIFACT_FILE' })
  })
})

describe('typed bindings', () => {
  test('they name the entries, compile, and reject wrong calls', async () => {
    const { manifest } = await readArtifact(await packArtifact(fake.contents))
    const hostile = { ...manifest, entries: [...manifest.entries, { ...manifest.entries[3]!, name: 'a"]: never }; evil() /*' }] }
    const source = emitTypes(hostile)
    expect(source).toContain(
      'prefill(args: { tokens: readonly number[] | Int32Array; start?: number; seq?: number }, options?: { signal?: AbortSignal }): Promise<TensorResult>',
    )
    const project = new Project({
      useInMemoryFileSystem: true,
      compilerOptions: {
        strict: true,
        noEmit: true,
        target: 99,
        lib: ['lib.es2022.d.ts'],
        skipLibCheck: true,
        paths: { 'llamac/runtime': ['./runtime.ts'] },
      },
    })
    project.createSourceFile(
      'runtime.ts',
      `
      export interface TensorResult { readonly values: Float32Array }
      export type ArtifactSource = string
      export interface ModelOptions { device?: string }
      export type NestedNumbers = readonly (number | NestedNumbers)[]
      export interface AbortSignal { readonly aborted: boolean }
      export interface Session<E> { readonly entries: E }
      export interface Model<E> { createSession(): Session<E> }
      export declare function load<E>(source: ArtifactSource, options?: ModelOptions): Promise<Model<E>>`,
    )
    project.createSourceFile('global.d.ts', 'interface AbortSignal { readonly aborted: boolean }')
    project.createSourceFile('bindings.ts', source)
    const use = (code: string) => {
      const file = project.createSourceFile(
        'use.ts',
        `import { load } from './bindings'\nexport async function use() { const s = (await load('x')).createSession(); ${code} }`,
        { overwrite: true },
      )
      return [...project.getSourceFileOrThrow('bindings.ts').getPreEmitDiagnostics(), ...file.getPreEmitDiagnostics()].map((d) =>
        d.getMessageText(),
      )
    }
    expect(
      use(
        'const { values } = await s.entries.score({ tokens: [1] }); values[0]; const [a, b] = await s.entries.add({ x: [[1, 2]], n: 1 }); a.values; b.values',
      ),
    ).toEqual([])
    expect(use('await s.entries.score({})').length).toBeGreaterThan(0)
    expect(use('await s.entries.nothing({})').length).toBeGreaterThan(0)
  })
})
