// Sharded safetensors: a golden checkpoint cut into three files gives the artifact of the whole one, byte for byte, from the folder and
// from the index; types may differ from shard to shard. What does not agree with the index is refused by code.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { formats } from '../../compiler/formats/index.ts'
import { compile, nodeFiles, openCheckpoint, packageSources } from '../../compiler/index.ts'
import { LlamacError } from '../../runtime/error.ts'
import { dataPath } from './data.ts'

const index = 'model.safetensors.index.json'
const fileOf = (i: number): string => `model-0000${i + 1}-of-00003.safetensors`
const whole = openCheckpoint(dataPath('hf-golden/llama-gqa'), nodeFiles)
const names = [...whole.tensors.keys()]

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'llamac-shards-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const dtypes = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const
type Stored = keyof typeof dtypes

function shard(of: readonly string[], format: (name: string) => Stored): Buffer {
  const header: Record<string, unknown> = {}
  const parts: Uint8Array[] = []
  let at = 0
  for (const name of of) {
    const { dims, bytes } = whole.tensors.get(name)!
    const values = new Float32Array(new Uint8Array(bytes()).buffer)
    const stored = new Uint8Array(values.length * formats[format(name)].bytes)
    formats[format(name)].encode(values, stored)
    header[name] = { dtype: dtypes[format(name)], shape: dims, data_offsets: [at, (at += stored.length)] }
    parts.push(stored)
  }
  const text = Buffer.from(JSON.stringify(header))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([size, text, ...parts])
}

/** A folder with three shards, tensors dealt out in turn. */
function folderOf(label: string, format: (name: string) => Stored = () => 'f32'): string {
  const folder = join(root, label)
  mkdirSync(folder)
  for (const i of [0, 1, 2])
    writeFileSync(
      join(folder, fileOf(i)),
      shard(
        names.filter((_, at) => at % 3 === i),
        format,
      ),
    )
  writeIndex(folder, Object.fromEntries(names.map((name, at) => [name, fileOf(at % 3)])))
  writeFileSync(join(folder, 'config.json'), readFileSync(dataPath('hf-golden/llama-gqa/config.json')))
  return folder
}

const writeIndex = (folder: string, map: object): void =>
  writeFileSync(join(folder, index), JSON.stringify({ metadata: {}, weight_map: map }))

async function artifactOf(path: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const checkpoint = openCheckpoint(path, nodeFiles)
  const result = await compile(packageSources(), { entry: 'models/llama.dsl', checkpoint, quant: 'keep' })
  if (!result.ok) throw new Error(result.diagnostics.map(({ message }) => message).join('\n'))
  return result.artifact
}

function expectSame(a: ReadonlyMap<string, Uint8Array>, b: ReadonlyMap<string, Uint8Array>): void {
  expect([...a.keys()]).toEqual([...b.keys()])
  for (const [name, bytes] of a) expect(Buffer.compare(bytes, b.get(name)!), name).toBe(0)
}

test('three shards give the artifact of one file, from the folder and from the index', async () => {
  const folder = folderOf('equal')
  const wanted = await artifactOf(dataPath('hf-golden/llama-gqa'))
  expectSame(await artifactOf(folder), wanted)
  expectSame(await artifactOf(join(folder, index)), wanted)
})

test('f32, f16 and bf16 in one checkpoint: each tensor is read in its own type', () => {
  const kinds: readonly Stored[] = ['f32', 'f16', 'bf16']
  const kindOf = (name: string): Stored => kinds[names.indexOf(name) % 2 === 0 ? names.indexOf(name) % 3 : 0]!
  const { tensors } = openCheckpoint(folderOf('mixed', kindOf), nodeFiles)
  expect(new Set([...tensors.values()].map(({ format }) => format))).toEqual(new Set(kinds))
  for (const name of names) {
    const values = new Float32Array(new Uint8Array(whole.tensors.get(name)!.bytes()).buffer)
    const kind = formats[kindOf(name)]
    const rounded = new Uint8Array(values.length * kind.bytes)
    kind.encode(values, rounded)
    expect(tensors.get(name)!.format, name).toBe(kindOf(name))
    expect(Buffer.compare(tensors.get(name)!.bytes(), rounded), name).toBe(0)
  }
})

const map = (): Record<string, string> => Object.fromEntries(names.map((name, at) => [name, fileOf(at % 3)]))

test.each([
  ['a shard is missing', (folder: string) => unlinkSync(join(folder, fileOf(1))), new RegExp(`the file ${fileOf(1)} is missing`)],
  [
    'a tensor lies in two shards',
    (folder: string) =>
      writeFileSync(
        join(folder, fileOf(2)),
        shard([names[0]!, ...names.filter((_, at) => at % 3 === 2)], () => 'f32'),
      ),
    new RegExp(`${fileOf(2)} has a tensor "${names[0]!.replaceAll('.', '\\.')}" that the index does not place there`),
  ],
  [
    'the index names a tensor that is not there',
    (folder: string) => writeIndex(folder, { ...map(), 'model.extra.weight': fileOf(0) }),
    /has no tensor "model\.extra\.weight"/,
  ],
  [
    'the index leaves a tensor out',
    (folder: string) => {
      const { [names[3]!]: _, ...rest } = map()
      writeIndex(folder, rest)
    },
    /that the index does not place there/,
  ],
] as const)('%s', (label, damage, said) => {
  const folder = folderOf(label.replaceAll(' ', '-'))
  damage(folder)
  try {
    openCheckpoint(folder, nodeFiles)
  } catch (error) {
    expect(error).toBeInstanceOf(LlamacError)
    expect((error as LlamacError).code).toBe('E_SAFETENSORS_INDEX')
    expect((error as LlamacError).message).toMatch(said)
    return
  }
  expect.fail('it was opened')
})
