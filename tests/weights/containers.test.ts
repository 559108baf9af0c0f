// Readers of checkpoints against files from elsewhere, and against damaged copies of them.

import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromBytes, type Files } from '../../compiler/weights/byte-source.ts'
import { openCheckpoint } from '../../compiler/weights/checkpoint.ts'
import { nodeFiles } from '../../compiler/weights/node-source.ts'
import { readSafetensors } from '../../compiler/weights/safetensors.ts'
import { LlamacError } from '../../runtime/error.ts'
import { dataBytes, dataPath, dataText } from './data.ts'

const inMemory = (contents: Record<string, Uint8Array>): Files => ({
  open: (path) => contents[path] && fromBytes(contents[path], path),
  isFolder: (path) => Object.keys(contents).some((name) => name.startsWith(`${path}/`)),
})

/** The code of the LlamacError that `run` throws, or undefined; anything else thrown fails the test. */
function codeOf(run: () => unknown): string | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof LlamacError && /^E_[A-Z0-9_]+$/.test(error.code)) return error.code
    throw error
  }
}

describe('safetensors', () => {
  const codes: Record<string, string> = {
    HeaderTooSmall: 'HEADER_TOO_SMALL',
    HeaderTooLarge: 'HEADER_TOO_LARGE',
    InvalidHeaderLength: 'HEADER_LENGTH',
    InvalidHeader: 'HEADER_UTF8',
    InvalidHeaderDeserialization: 'HEADER_JSON',
    InvalidOffset: 'OFFSET',
    TensorInvalidInfo: 'SHAPE',
    ValidationOverflow: 'OVERFLOW',
    MetadataIncompleteBuffer: 'INCOMPLETE',
  }
  const { cases } = JSON.parse(dataText('safetensors/expected.json')) as { cases: { file: string; expect: string }[] }

  test('there are 15 verdicts', () => expect(cases.length).toBe(15))

  test.each(cases)('$file: $expect', ({ file, expect: verdict }) => {
    const code = codeOf(() => readSafetensors(fromBytes(dataBytes(`safetensors/${file}`))))
    expect(code).toBe(verdict.startsWith('ok') ? undefined : `E_SAFETENSORS_${codes[verdict]}`)
  })

  const withHeader = (header: string, data = 0): Uint8Array => {
    const text = new TextEncoder().encode(header)
    const bytes = new Uint8Array(8 + text.length + data)
    new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true)
    bytes.set(text, 8)
    return bytes
  }

  test('duplicate names and rounded integers, which JSON.parse hides, are refused', () => {
    const entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    expect(codeOf(() => readSafetensors(fromBytes(withHeader(`{"a":${entry},"a":${entry}}`, 4))))).toBe('E_SAFETENSORS_HEADER_JSON')
    const rounded = '{"a":{"dtype":"U8","shape":[0,9007199254740993],"data_offsets":[0,0]}}'
    expect(codeOf(() => readSafetensors(fromBytes(withHeader(rounded))))).toBe('E_SAFETENSORS_SHAPE')
    expect(codeOf(() => readSafetensors(fromBytes(withHeader(`${'['.repeat(5000)}`))))).toBe('E_SAFETENSORS_HEADER_JSON')
  })

  test('a tensor called __proto__ is a tensor', () => {
    const { tensors } = readSafetensors(fromBytes(withHeader('{"__proto__":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}', 2)))
    expect([...tensors.keys()]).toEqual(['__proto__'])
    expect(({} as { dtype?: unknown }).dtype).toBeUndefined()
  })

  test('shards by an index give the tensors of the whole file; a file outside the folder is refused', () => {
    const whole = readSafetensors(fromBytes(dataBytes('hf-golden/llama/model.safetensors'))).tensors
    const shard = (names: readonly string[]): Uint8Array => {
      const header: Record<string, unknown> = {}
      const parts: Uint8Array[] = []
      let at = 0
      for (const name of names) {
        const { dims, bytes } = whole.get(name)!
        header[name] = { dtype: 'F32', shape: dims, data_offsets: [at, (at += bytes().length)] }
        parts.push(bytes())
      }
      return new Uint8Array(Buffer.concat([withHeader(JSON.stringify(header)), ...parts]))
    }
    const names = [...whole.keys()]
    const half = names.length >> 1
    const map = Object.fromEntries(names.map((name, i) => [name, i < half ? 'a.safetensors' : 'b.safetensors']))
    const index = (weightMap: object) => new TextEncoder().encode(JSON.stringify({ weight_map: weightMap }))
    const files = { 'm/a.safetensors': shard(names.slice(0, half)), 'm/b.safetensors': shard(names.slice(half)) }
    const { tensors } = openCheckpoint('m/i.json', inMemory({ ...files, 'm/i.json': index(map) }))
    expect([...tensors.keys()].sort()).toEqual([...names].sort())
    for (const [name, tensor] of tensors) expect(Buffer.compare(tensor.bytes(), whole.get(name)!.bytes())).toBe(0)
    for (const bad of [
      { ...map, [names[0]!]: '../a.safetensors' },
      { ...map, [names[0]!]: 'b.safetensors' },
      { ...map, more: 'a.safetensors' },
    ]) {
      expect(codeOf(() => openCheckpoint('m/i.json', inMemory({ ...files, 'm/i.json': index(bad) })))).toBe('E_SAFETENSORS_INDEX')
    }
  })
})

describe('stories260K', () => {
  const names = ['stories260K.legacy.bin', 'stories260K.v1.bin', 'llama2ts.tinystories_260k_v1.bin']
  const open = (name: string) => openCheckpoint(dataPath(`checkpoints/${name}`), nodeFiles)

  test('three containers hold the same tensors and the same numbers', () => {
    const [legacy, ...others] = names.map(open)
    expect(legacy!.table).toEqual({ format: 'meta' })
    expect(legacy!.tensors.size).toBe(2 + 5 * 9)
    expect(legacy!.config!.values).toEqual({
      model_type: 'llama',
      vocab: 512,
      embed: 64,
      depth: 5,
      heads: 8,
      kv_heads: 4,
      ffn: 172,
      ctx: 512,
      norm_eps: 1e-5,
      theta: 10000,
      tie: true,
    })
    for (const other of others) {
      expect(other.config!.values).toEqual(legacy!.config!.values)
      expect([...other.tensors.keys()].sort()).toEqual([...legacy!.tensors.keys()].sort())
      for (const [name, tensor] of legacy!.tensors) {
        expect(other.tensors.get(name)!.dims).toEqual(tensor.dims)
        expect(Buffer.compare(other.tensors.get(name)!.bytes(), tensor.bytes())).toBe(0)
      }
    }
  })

  test('llama2.c: other versions, wrong lengths, pickles', () => {
    const v1 = dataBytes('checkpoints/stories260K.v1.bin')
    const int8 = v1.slice()
    int8[4] = 2
    const at = (bytes: Uint8Array) => codeOf(() => openCheckpoint('x.bin', inMemory({ 'x.bin': bytes })))
    expect(at(int8)).toBe('E_LLAMA2C_VERSION')
    expect(at(v1.slice(0, -4))).toBe('E_LLAMA2C_SIZE')
    expect(at(Uint8Array.of(0x80, 2, 0x7d, 0x71, 0, 0x2e))).toBe('E_CHECKPOINT_PICKLE')
    expect(at(new TextEncoder().encode('hello, this is text and no model at all'))).toBe('E_CHECKPOINT_UNKNOWN')
    expect(codeOf(() => openCheckpoint('none', inMemory({})))).toBe('E_CHECKPOINT_NOT_FOUND')
  })
})

describe('GGUF', () => {
  test('is found in a folder by its usual name', () => {
    const file = dataBytes('gguf-model/llama-2-tiny-random.gguf')
    expect(openCheckpoint('m', inMemory({ 'm/model.gguf': file })).container).toBe('gguf')
    expect(codeOf(() => openCheckpoint('m', inMemory({ 'm/other.gguf': file })))).toBe('E_CHECKPOINT_NOT_FOUND')
  })

  test('a whole file of a third party', () => {
    const { table, tensors, config, tokenizer } = openCheckpoint(dataPath('gguf-model/llama-2-tiny-random.gguf'), nodeFiles)
    expect(table).toEqual({ format: 'gguf', arch: 'llama' })
    expect(tensors.get('token_embd.weight')!.dims[0]).toBe(32000)
    expect(new Set([...tensors.values()].map((tensor) => tensor.format))).toEqual(new Set(['f16', 'f32']))
    expect(config!.values['llama.block_count']).toBeTypeOf('number')
    expect(tokenizer!.pieces.length).toBe(32000)
  })

  test('SmolLM2: 210 matrices q4_1, the embedding q8_0, 61 norms f32, 96,576,768 bytes', () => {
    const { tensors, config } = openCheckpoint(dataPath('smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'), nodeFiles)
    const counts: Record<string, number> = {}
    for (const { format } of tensors.values()) counts[format] = (counts[format] ?? 0) + 1
    expect(counts).toEqual({ q4_1: 210, q8_0: 1, f32: 61 })
    expect(tensors.get('token_embd.weight')!.dims).toEqual([49152, 576])
    expect(tensors.get('blk.0.ffn_down.weight')!.dims).toEqual([576, 1536])
    let bytes = 0
    for (const tensor of tensors.values()) bytes += tensor.bytes().length
    expect(bytes).toBe(96_576_768)
    expect(config!.values['llama.rope.freq_base']).toBe(100000)
  })
})

describe('damaged files give a typed error or a valid checkpoint', () => {
  const small = (bytes: Uint8Array, name: string, headerBytes: number) => ({
    bytes,
    name,
    headerBytes: Math.min(headerBytes, bytes.length),
  })
  const files = [
    small(dataBytes('checkpoints/stories260K.legacy.bin'), 'x.bin', 28),
    small(dataBytes('checkpoints/stories260K.v1.bin'), 'x.bin', 64),
    small(dataBytes('checkpoints/llama2ts.tinystories_260k_v1.bin'), 'x.bin', 6657),
    small(dataBytes('hf-golden/llama/model.safetensors'), 'x.safetensors', 3000),
    small(dataBytes('safetensors/ok-basic.safetensors'), 'x.safetensors', 84),
    small(tinyGguf(), 'x.gguf', 4096),
  ]

  /** Opens, and when that works reads every tensor: its length must follow from its dims. */
  function check(bytes: Uint8Array, name: string): void {
    codeOf(() => {
      const { tensors } = openCheckpoint(name, inMemory({ [name]: bytes }))
      for (const tensor of tensors.values()) if (tensor.bytes().length > bytes.length) throw new Error('too long')
    })
  }

  test.each(files)('$name of $headerBytes header bytes: bit flips', ({ bytes, name, headerBytes }) => {
    fc.assert(
      fc.property(fc.nat(headerBytes * 8 - 1), (bit) => {
        const damaged = bytes.slice()
        damaged[bit >> 3]! ^= 1 << (bit & 7)
        check(damaged, name)
      }),
      { numRuns: 150 },
    )
  })

  test.each(files)('$name of $headerBytes header bytes: every prefix is refused', ({ bytes, name, headerBytes }) => {
    fc.assert(
      fc.property(fc.oneof(fc.nat(Math.min(headerBytes, bytes.length - 1)), fc.nat(bytes.length - 1)), (length) => {
        const damaged = bytes.slice(0, length)
        return codeOf(() => openCheckpoint(name, inMemory({ [name]: damaged }))) !== undefined
      }),
      { numRuns: 150 },
    )
  })

  test('random words over a GGUF header', () => {
    const bytes = tinyGguf()
    const word = fc.oneof(fc.nat(0xffffffff), fc.constantFrom(0, 0xffffffff, 0x7fffffff, 0x80000000))
    fc.assert(
      fc.property(fc.nat(bytes.length - 5), word, (at, value) => {
        const damaged = bytes.slice()
        new DataView(damaged.buffer).setUint32(at, value, true)
        check(damaged, 'x.gguf')
      }),
      { numRuns: 400 },
    )
  })

  test('GGUF: duplicate names and keys, overlap, out of file, absurd dims', () => {
    const at = (bytes: Uint8Array) => codeOf(() => openCheckpoint('x', inMemory({ x: bytes })))
    const f32 = (name: string, dims: bigint[], offset: bigint) => ({ name, dims, type: 0, offset })
    expect(at(makeGguf([], [f32('a', [8n], 0n), f32('b', [8n], 32n)], 64))).toBeUndefined()
    expect(at(makeGguf([], [f32('a', [8n], 0n), f32('a', [8n], 32n)], 64))).toBe('E_GGUF_DUPLICATE')
    expect(
      at(
        makeGguf(
          [
            ['k', 1],
            ['k', 2],
          ],
          [],
          0,
        ),
      ),
    ).toBe('E_GGUF_DUPLICATE')
    expect(at(makeGguf([], [f32('a', [9n], 0n), f32('b', [8n], 32n)], 64))).toBe('E_GGUF_OVERLAP')
    expect(at(makeGguf([], [f32('a', [8n], 64n)], 64))).toBe('E_GGUF_OFFSET')
    expect(at(makeGguf([], [f32('a', [8n], 4n)], 64))).toBe('E_GGUF_OFFSET')
    expect(at(makeGguf([], [f32('a', [2n ** 32n, 2n ** 32n], 0n)], 64))).toBe('E_GGUF_DIMS')
    expect(at(makeGguf([], [f32('a', [2n ** 62n], 0n)], 64))).toBe('E_GGUF_TOO_LARGE')
    expect(at(makeGguf([], [{ name: 'a', dims: [33n], type: 2, offset: 0n }], 64))).toBe('E_GGUF_DIMS')
    expect(at(makeGguf([], [{ name: 'a', dims: [32n], type: 99, offset: 0n }], 64))).toBe('E_GGUF_TYPE')
    expect(at(makeGguf([['general.alignment', 3]], [], 0))).toBe('E_GGUF_METADATA')
  })
})

interface Info {
  readonly name: string
  readonly dims: readonly bigint[]
  readonly type: number
  readonly offset: bigint
}

/** A GGUF v3 written from the specification: u32 metadata, tensor infos, `dataBytes` zero bytes. */
function makeGguf(pairs: readonly (readonly [string, number])[], infos: readonly Info[], dataBytes: number): Uint8Array {
  const parts: Uint8Array[] = []
  const u32 = (value: number) => parts.push(new Uint8Array(Uint32Array.of(value).buffer))
  const u64 = (value: bigint) => parts.push(new Uint8Array(BigUint64Array.of(value).buffer))
  const text = (value: string) => {
    u64(BigInt(Buffer.byteLength(value)))
    parts.push(new TextEncoder().encode(value))
  }
  parts.push(new TextEncoder().encode('GGUF'))
  u32(3)
  u64(BigInt(infos.length))
  u64(BigInt(pairs.length))
  for (const [key, value] of pairs) {
    text(key)
    u32(4)
    u32(value)
  }
  for (const { name, dims, type, offset } of infos) {
    text(name)
    u32(dims.length)
    dims.forEach(u64)
    u32(type)
    u64(offset)
  }
  const header = Buffer.concat(parts)
  return new Uint8Array(Buffer.concat([header, new Uint8Array(Math.ceil(header.length / 32) * 32 - header.length + dataBytes)]))
}

function tinyGguf(): Uint8Array {
  const infos = Array.from({ length: 6 }, (_, i) => ({
    name: `blk.${i}.weight`,
    dims: [32n, 2n],
    type: [0, 1, 2, 3, 8, 30][i]!,
    offset: BigInt(i * 256),
  }))
  return makeGguf(
    [
      ['general.alignment', 32],
      ['llama.block_count', 6],
    ],
    infos,
    5 * 256 + 128,
  )
}

test('golden folders open with config and tensors', () => {
  for (const name of [
    'llama',
    'llama-gqa',
    'llama3-rope',
    'gpt2',
    'openai-gpt',
    'mistral',
    'mixtral',
    'qwen2',
    'gemma',
    'gpt-neo',
    'bert',
    'marian',
  ]) {
    const folder = dataPath(`hf-golden/${name}`)
    const { tensors, config, table } = openCheckpoint(folder, nodeFiles)
    expect(table.format).toBe('hf')
    expect(config!.kind).toBe('hf')
    expect(JSON.parse(JSON.stringify(config!.values))).toEqual(JSON.parse(readFileSync(`${folder}/config.json`, 'utf8')))
    expect(tensors.size).toBeGreaterThan(10)
  }
})
