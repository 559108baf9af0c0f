// What an artifact keeps of its making: compiled again, it gives the same programs byte for byte, whatever chose the formats at
// first; and it tells nothing of where it was compiled.

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { parseSourceRecord, portableSources } from '../../compiler/artifact/source-record.ts'
import { compile, nodeFiles, openCheckpoint, packageSources } from '../../compiler/index.ts'
import { readStoredWeights, recompile } from '../../compiler/recompile.ts'
import { memoryFiles, readArtifact } from '../../runtime/index.ts'
import { dataPath } from '../support/goldens.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'llamac-source-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const onDisk = packageSources((path) => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
})

async function artifactOf(entry: string, checkpoint: string, quant: 'keep' | 'q8_0' = 'keep') {
  const result = await compile(onDisk, {
    entry,
    checkpoint: openCheckpoint(dataPath(checkpoint), nodeFiles),
    quant,
    target: ['wasm', 'webgpu'],
    maximum: { seq: 8 },
  })
  if (!result.ok) throw new Error(result.diagnostics.map(({ message }) => message).join('; '))
  return result
}

test.each([
  ['llama', 'hf-golden/llama-gqa', 'q8_0'],
  ['mixtral', 'hf-golden/mixtral', 'q8_0'],
  ['gpt2', 'hf-golden/gpt2', 'keep'],
  ['gemma', 'hf-golden/gemma', 'keep'],
  ['marian', 'hf-golden/marian', 'q8_0'],
  ['mistral_ring', 'hf-golden/mistral', 'keep'],
] as const)('%s with %s as %s is compiled again to the same bytes', async (model, checkpoint, quant) => {
  const { artifact, weights } = await artifactOf(`models/${model}.dsl`, checkpoint, quant)
  const opened = await readArtifact(memoryFiles(artifact))
  for (const target of ['wasm', 'webgpu'] as const)
    expect(await recompile(opened, target)).toMatchObject({ matches: true, unaltered: true })
  const again = await recompile(opened, 'wasm')
  const stored = await readStoredWeights(opened, again)
  // What is stored without loss comes back as the checkpoint has it.
  for (const { path, format } of opened.manifest.tensors) {
    const bound = weights!.get(path)
    if (format !== 'f32' || bound?.format !== 'f32') continue
    const bytes = bound.read().slice()
    expect(stored(path).data, path).toEqual(Float64Array.from(new Float32Array(bytes.buffer)))
  }
})

test('the same model gives the same artifact in any folder', async () => {
  const [near, far] = [join(folder, 'a'), join(folder, 'b', 'deep')]
  for (const place of [near, far]) {
    mkdirSync(place, { recursive: true })
    writeFileSync(join(place, 'mine.dsl'), 'module mine\n\nimport base { Base }\n\nmodel Mine extends Base {\n}\n')
    writeFileSync(join(place, 'base.dsl'), 'module base\n\nimport llama { Llama }\n\nmodel Base extends Llama {\n}\n')
    cpSync(join(root, 'models/llama.dsl'), join(place, 'llama.dsl'))
  }
  const [one, other] = [
    await artifactOf(join(near, 'mine.dsl'), 'hf-golden/llama'),
    await artifactOf(join(far, 'mine.dsl'), 'hf-golden/llama'),
  ]
  expect([...one.artifact.keys()]).toEqual([...other.artifact.keys()])
  for (const [name, bytes] of one.artifact) expect(Buffer.compare(bytes, other.artifact.get(name)!), name).toBe(0)
  const record = parseSourceRecord(one.artifact.get('source.json')!)
  expect(Object.keys(record.files).filter((path) => !path.startsWith('std/'))).toEqual([
    'model/mine.dsl',
    'model/base.dsl',
    'model/llama.dsl',
  ])
  expect(await recompile(await readArtifact(memoryFiles(one.artifact)), 'wasm')).toMatchObject({ unaltered: true })
})

test('paths move only with the folder of the model', () => {
  expect(portableSources('mine.dsl', { 'mine.dsl': '1', 'std/nn.dsl': '2', 'models/llama.dsl': '3', 'parts/x.dsl': '4' })).toEqual({
    entry: 'model/mine.dsl',
    files: { 'model/mine.dsl': '1', 'std/nn.dsl': '2', 'models/llama.dsl': '3', 'model/parts/x.dsl': '4' },
  })
  expect(portableSources('models/llama3.dsl', { 'models/llama3.dsl': '1', 'models/llama.dsl': '2' }).files).toEqual({
    'model/llama3.dsl': '1',
    'model/llama.dsl': '2',
  })
  const packages = { '/a/b/m.dsl': '1', '/a/b/node_modules/@x/y/z.dsl': '2', '/a/node_modules/w/index.dsl': '3' }
  expect(portableSources('/a/b/m.dsl', packages).files).toEqual({
    'model/m.dsl': '1',
    'node_modules/@x/y/z.dsl': '2',
    'node_modules/w/index.dsl': '3',
  })
})

test('a record of another shape is refused', () => {
  const good = { entry: 'a.dsl', model: 'A', files: { 'a.dsl': '' }, maximum: { seq: 8 }, targets: ['wasm'], disabledPasses: [] }
  const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
  expect(parseSourceRecord(bytes(good))).toEqual(good)
  expect(parseSourceRecord(bytes({ ...good, taps: ['layers.*'] }))).toEqual({ ...good, taps: ['layers.*'] })
  for (const wrong of [
    null,
    3,
    [],
    { ...good, files: ['a'] },
    { ...good, files: { a: 1 } },
    { ...good, targets: ['cuda'] },
    { ...good, maximum: { seq: '8' } },
    { ...good, entry: undefined },
    { ...good, taps: 'layers.*' },
  ]) {
    expect(() => parseSourceRecord(bytes(wrong)), JSON.stringify(wrong)).toThrow(expect.objectContaining({ code: 'E_ARTIFACT_MANIFEST' }))
  }
  expect(() => parseSourceRecord(new Uint8Array([255, 0]))).toThrow(expect.objectContaining({ code: 'E_ARTIFACT_MANIFEST' }))
})
