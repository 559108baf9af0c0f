// A compilation that is run by the process that made it: the programs and weights are those of the artifact that it would write, a
// module is built only when a machine takes it, and in another thread it is the same module.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startBuilder } from '../../cli/module-builder.ts'
import { compiledArtifact } from '../../compiler/artifact/compiled.ts'
import { tensorBytes } from '../../compiler/artifact/contents.ts'
import { packArtifact, writeArtifact } from '../../compiler/artifact/write.ts'
import { type Compilation, compileModel } from '../../compiler/compile.ts'
import { buildModule } from '../../compiler/targets/wasm/module.ts'
import type { BuildProgram } from '../../compiler/targets/wasm/program.ts'
import { packageSources } from '../../compiler/package-sources.ts'
import { seededWeights } from '../../compiler/weights/index.ts'
import { loadModel } from '../../dsl/index.ts'
import { load, readArtifact } from '../../runtime/index.ts'

const model = loadModel('models/llama.dsl', packageSources()).model!.specialise({ preset: 'tiny', maximum: { seq: 16 } }).model!
const built: string[] = []
const buildWasm: BuildProgram = async (program, options) => {
  built.push(JSON.stringify(options))
  return buildModule(program, options).binary
}

const compile = (build: BuildProgram): Compilation =>
  compileModel(model, { targets: ['wasm'], quant: 'q4_0', weights: seededWeights(model.weights, 1), buildWasm: build }).compilation!

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llamac-compiled-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test('one module is built to run a model, and it is the one that a written artifact has', async () => {
  const { contents } = compile(buildWasm)
  const artifact = compiledArtifact(contents)
  await using running = await load(artifact, { threads: 1 })
  expect(built).toHaveLength(1)
  await using written = await load(await packArtifact(contents), { threads: 1 })
  expect(built).toHaveLength(1 + contents.variants.length)
  const ids = async (one: typeof running): Promise<number[]> => {
    const found: number[] = []
    for await (const { token } of one.createSession().generate([1, 2, 3], { maxTokens: 12 })) found.push(token)
    return found
  }
  expect(await ids(running)).toEqual(await ids(written))

  const files = await readArtifact(await packArtifact(contents))
  expect(artifact.manifest.tensors).toEqual(files.manifest.tensors)
  for (const [i, variant] of artifact.manifest.variants.entries()) {
    if (variant.target !== 'wasm') throw new Error('a variant of another target')
    const other = files.manifest.variants[i] as typeof variant
    expect({ ...variant, sha256: '' }).toEqual({ ...other, sha256: '' })
    expect(await artifact.program(variant)).toEqual(await files.program(other))
  }
  const seen = artifact.manifest.tensors.map(({ bytes }) => new Uint8Array(bytes))
  await artifact.loadTensors((tensor, offset, bytes) => seen[tensor]!.set(bytes, offset))
  expect(seen.every((bytes, i) => Buffer.compare(bytes, tensorBytes(contents.tensors[i]!)) === 0)).toBe(true)
})

test('generating fills one array of scores again; nobody else sees it', async () => {
  await using running = await load(compiledArtifact(compile(buildWasm).contents), { threads: 1 })
  const ids = async (session: ReturnType<typeof running.createSession>, count: number): Promise<number[]> => {
    const found: number[] = []
    for await (const { token } of session.generate([], { maxTokens: count })) found.push(token)
    return found
  }
  const session = running.createSession()
  // Reads the prompt and keeps the scores behind it.
  for await (const _ of session.generate([5, 9, 4], { maxTokens: 0 })) throw new Error('nothing was asked for')
  const [fork, own] = [session.fork(), running.createSession()]
  const scores = await own.prefill([5, 9, 4])
  const before = scores.slice()
  const expected = await ids(session, 9)
  expect(await ids(fork, 9)).toEqual(expected)
  expect(await ids(own, 9)).toEqual(expected)
  expect(scores).toEqual(before)
  const [a, b] = [await own.decode(3), await own.decode(4)]
  expect(a.buffer).not.toBe(b.buffer)
})

test('the module is asked for first, since another thread may build it while this one makes the tokenizer and moves weights', async () => {
  const asked: string[] = []
  const build: BuildProgram = async (...request) => {
    asked.push('module')
    return buildWasm(...request)
  }
  const artifact = compiledArtifact(compile(build).contents)
  await using _running = await load({
    ...artifact,
    async tokenizer() {
      asked.push('tokenizer')
      return undefined
    },
    async loadTensors(...request) {
      asked.push('weights')
      return artifact.loadTensors(...request)
    },
  })
  expect(asked[0]).toBe('module')
  expect(asked.slice(1).sort()).toEqual(['tokenizer', 'weights'])
})

test.each([1, 2, Number.POSITIVE_INFINITY])(
  'another thread builds the same bytes, %d of them; later ones are built here',
  async (modules) => {
    const here = await readArtifact(await packArtifact(compile(buildWasm).contents))
    using builder = startBuilder(modules)
    const elsewhere = compiledArtifact(compile(builder.build).contents)
    const programs = here.manifest.variants.flatMap((variant) => (variant.target === 'wasm' ? [variant] : []))
    // At once: they take turns.
    const built = await Promise.all(programs.map((variant) => elsewhere.program(variant)))
    expect(built).toEqual(await Promise.all(programs.map((variant) => here.program(variant))))
  },
)

test('weights that are read in place are those of the stream; what is wrong with their file is told', async () => {
  const path = join(folder, 'artifact')
  await writeArtifact(compile(buildWasm).contents, path)
  const artifact = await readArtifact(path)
  const { manifest } = artifact
  const wasm = manifest.variants.find((variant) => variant.target === 'wasm')!
  const places = wasm.memory.tensors
  const image = async (at: readonly number[]): Promise<Uint8Array> => {
    const memory = new SharedArrayBuffer(wasm.memory.statesBase + 4096)
    await artifact.loadTensors({ buffer: memory, places: at })
    return new Uint8Array(memory)
  }
  const streamed = new Uint8Array(wasm.memory.statesBase + 4096)
  await artifact.loadTensors((tensor, offset, bytes) => streamed.set(bytes, places[tensor]! + offset))
  const [inPlace, apart] = [await image(places), await image(places.map((at, i) => (i % 2 === 0 ? at : at + 16)))]
  for (const [i, { bytes }] of manifest.tensors.entries()) {
    const expected = streamed.subarray(places[i]!, places[i]! + bytes)
    expect(Buffer.compare(inPlace.subarray(places[i]!, places[i]! + bytes), expected)).toBe(0)
    // Places that are no image of the file: the bytes come by way of a buffer. Later tensors may lie over earlier ones' ends here.
    if (i % 2 === 1)
      expect(Buffer.compare(apart.subarray(places[i]! + 16, places[i]! + 16 + bytes - 16), expected.subarray(0, -16))).toBe(0)
  }

  const file = join(path, manifest.shards[0]!.file)
  const whole = await readFile(file)
  const changed = Buffer.from(whole)
  changed[whole.length >> 1]! ^= 1
  for (const [bytes, code] of [
    [changed, 'E_ARTIFACT_HASH'],
    [whole.subarray(0, -1), 'E_ARTIFACT_SIZE'],
    [Buffer.concat([whole, Buffer.of(0)]), 'E_ARTIFACT_SIZE'],
  ] as const) {
    await writeFile(file, bytes)
    for (const threads of [1, 2]) await expect(load(path, { threads })).rejects.toMatchObject({ code })
  }
  await rm(file)
  await expect(load(path)).rejects.toMatchObject({ code: 'E_ARTIFACT_FILE' })
  await writeFile(file, whole)
  await expect(load(path, { signal: AbortSignal.abort('enough') })).rejects.toMatchObject({ code: 'E_ABORTED', cause: 'enough' })
  const abort = new AbortController()
  await expect(load(path, { signal: abort.signal, onProgress: () => abort.abort('enough') })).rejects.toMatchObject({ code: 'E_ABORTED' })
})
