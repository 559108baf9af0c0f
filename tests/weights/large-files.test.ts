// Weights beyond 4 GiB: files with holes cost nothing, so the tensors of real offsets can be read, in every container; and what no file
// can have, offsets beyond 2^53, is refused.

import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { nodeFiles, openCheckpoint } from '../../compiler/weights/index.ts'
import { readGguf } from '../../compiler/weights/gguf.ts'
import { readSafetensors } from '../../compiler/weights/safetensors.ts'
import { fileSource } from '../../compiler/weights/node-source.ts'
import { Bytes, writeGguf, writeSafetensors } from '../hostile/write-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'llamac-large-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A file that begins with `head`, has `bytes` at `at`, and holes elsewhere. */
function sparse(
  name: string,
  head: Uint8Array,
  size: number,
  pieces: readonly { readonly at: number; readonly bytes: Uint8Array }[],
): string {
  const path = join(folder, name)
  const handle = openSync(path, 'w')
  try {
    ftruncateSync(handle, size)
    writeSync(handle, head, 0, head.length, 0)
    for (const { at, bytes } of pieces) writeSync(handle, bytes, 0, bytes.length, at)
  } finally {
    closeSync(handle)
  }
  return path
}

const gibibyte = 2 ** 30

/** Small tensors with values of their own, and how many GiB (in eighths) of others lie before each. */
const files = fc
  .array(fc.record({ eighths: fc.integer({ min: 1, max: 40 }), bytes: fc.uint8Array({ minLength: 64, maxLength: 64 }) }), {
    minLength: 2,
    maxLength: 5,
  })
  .filter((list) => list.reduce((sum, { eighths }) => sum + eighths, 0) > 33)

interface Placed {
  readonly name: string
  readonly rows: number
  readonly offset: number
  readonly bytes?: Uint8Array
}

/** Tensors of 64-byte rows of f32, one after the other. */
function placed(list: readonly { readonly eighths: number; readonly bytes: Uint8Array }[]): {
  readonly all: readonly Placed[]
  readonly total: number
} {
  let offset = 0
  const all = list.flatMap(({ eighths, bytes }, i): Placed[] => {
    const hole = (eighths * gibibyte) / 8
    const both = [
      { name: `hole.${i}`, rows: hole / 64, offset },
      { name: `small.${i}`, rows: 1, offset: offset + hole, bytes },
    ]
    offset += hole + 64
    return both
  })
  return { all, total: offset }
}

const safetensorsHead = (all: readonly Placed[]): Uint8Array =>
  writeSafetensors(
    JSON.stringify(
      Object.fromEntries(
        all.map(({ name, rows, offset }) => [name, { dtype: 'F32', shape: [rows, 16], data_offsets: [offset, offset + rows * 64] }]),
      ),
    ),
    0,
  )

const atEnds = (head: Uint8Array, all: readonly Placed[]) =>
  all.flatMap(({ offset, bytes }) => (bytes ? [{ at: head.length + offset, bytes }] : []))

test('tensors beyond 4 GiB are read where they lie', () => {
  let beyond = 0
  fc.assert(
    fc.property(files, (list) => {
      const { all, total } = placed(list)
      const gguf = writeGguf({
        version: 3,
        pairs: [['general.architecture', { type: 8, value: 'llama' }]],
        tensors: all.map(({ name, rows, offset }) => ({ name, dims: [16, rows], type: 0, offset })),
        data: 0,
      })
      const st = safetensorsHead(all)
      const read = [
        readGguf(fileSource(sparse('a.gguf', gguf, gguf.length + total, atEnds(gguf, all)))!).tensors,
        readSafetensors(fileSource(sparse('a.safetensors', st, st.length + total, atEnds(st, all)))!).tensors,
      ]
      for (const tensors of read) {
        for (const { name, rows, bytes, offset } of all) {
          expect(tensors.get(name)!.dims).toEqual([rows, 16])
          if (!bytes) continue
          expect(tensors.get(name)!.bytes(), name).toEqual(bytes)
          if (offset > 4 * gibibyte) beyond++
        }
      }
    }),
    { numRuns: 20 },
  )
  expect(beyond).toBeGreaterThan(0)
})

test('shards beyond 4 GiB, by their index', () => {
  const shards = [0, 1].map((shard) => {
    const { all, total } = placed([{ eighths: 35, bytes: new Uint8Array(64).fill(shard + 1) }])
    const named = all.map((one) => ({ ...one, name: `${one.name}.${shard}` }))
    const head = safetensorsHead(named)
    const file = `model-0000${shard + 1}-of-00002.safetensors`
    sparse(file, head, head.length + total, atEnds(head, named))
    return named.map(({ name }) => [name, file] as const)
  })
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: Object.fromEntries(shards.flat()) }))
  const { tensors } = openCheckpoint(join(folder, 'model.safetensors.index.json'), nodeFiles)
  expect([0, 1].map((shard) => tensors.get(`small.0.${shard}`)!.bytes()[63])).toEqual([1, 2])
})

test('one tensor of more than 2 GiB is read whole, in several reads', () => {
  const rows = (2.25 * gibibyte) / 64
  const last = new Uint8Array(64).fill(9)
  const head = safetensorsHead([{ name: 'large', rows, offset: 0 }])
  const path = sparse('b.safetensors', head, head.length + rows * 64, [{ at: head.length + rows * 64 - 64, bytes: last }])
  const bytes = readSafetensors(fileSource(path)!).tensors.get('large')!.bytes()
  expect(bytes.length).toBe(rows * 64)
  expect(bytes.subarray(-64)).toEqual(last)
  expect(bytes.subarray(gibibyte - 64, gibibyte + 64).every((byte) => byte === 0)).toBe(true)
})

test('offsets that no number holds are refused, not rounded', () => {
  const header = (from: bigint): string =>
    `{"a":{"dtype":"F32","shape":[${(from / 4n).toString()}],"data_offsets":[0,${from}]},"b":{"dtype":"F32","shape":[1],"data_offsets":[${from},${from + 4n}]}}`
  fc.assert(
    fc.property(fc.bigInt({ min: 2n ** 51n, max: 2n ** 58n }), (quarter) => {
      const bytes = writeSafetensors(header(quarter * 4n), 64)
      expect(() => readSafetensors({ name: 'x', size: bytes.length, read: (at, length) => bytes.subarray(at, at + length) })).toThrow(
        /which no memory holds/,
      )
      const gguf = new Bytes().raw(
        writeGguf({ version: 3, pairs: [], tensors: [{ name: 'a', dims: [16], type: 0, offset: quarter * 32n }], data: 64 }),
      )
      const whole = gguf.done()
      expect(() => readGguf({ name: 'x', size: whole.length, read: (at, length) => whole.subarray(at, at + length) })).toThrow()
    }),
    { numRuns: 200 },
  )
})
