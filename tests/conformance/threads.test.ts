// The number of threads changes no bit: logits of whole sequences, read at once and id by id, by 1, 2, 3 and 4 threads, with
// sessions in turn. One thread runs another module than many, without shared memory. Under strict math that is promised on every
// machine; on one machine it holds under fast math too, since who computes a row does not change how.

import { describe, expect, test } from 'vitest'
import { compileForTest, type CompileRequest } from '../support/compiled.ts'
import { goldenSequences } from '../support/goldens.ts'
import type { Model } from '../../runtime/index.ts'

const cases: readonly (readonly [string, CompileRequest, readonly (readonly number[])[]])[] = [
  ...(
    [
      ['llama', 'llama-gqa'],
      ['gemma', 'gemma'],
      ['mixtral', 'mixtral'],
      ['gpt2', 'gpt2'],
      ['mistral_ring', 'mistral'],
    ] as const
  ).map(([model, folder]) => {
    const request: CompileRequest = { model, checkpoint: `hf-golden/${folder}`, targets: ['wasm'], maxSeq: 8 }
    return [model, request, goldenSequences(folder).map(({ ids }) => ids.slice(0, 24))] as const
  }),
  ...(['q8_0', 'q4_0'] as const).map((quant) => {
    const request: CompileRequest = {
      model: 'llama',
      checkpoint: 'checkpoints/stories260K.legacy.bin',
      targets: ['wasm'],
      quant,
      maxSeq: 16,
    }
    return [
      `stories260K in ${quant}`,
      request,
      [[1, 403, 407, 261, 378, 432, 281, 267, 337, 410, 408, 262, 429, 341, 394, 398, 402, 404, 405, 278]],
    ] as const
  }),
]

/** Every logit as bits: two sessions that read in turns, one in pieces, one id by id. */
async function bitsOf(model: Model, sequences: readonly (readonly number[])[]): Promise<Uint32Array> {
  const found: number[] = []
  const keep = (values: ArrayLike<number>) => found.push(...new Uint32Array(Float32Array.from(values).buffer))
  for (const ids of sequences) {
    const [whole, stepwise] = [model.createSession(), model.createSession()]
    for (let at = 0; at < ids.length; at += 5) {
      keep(await whole.prefill(ids.slice(at, at + 5)))
      for (const id of ids.slice(at, at + 5)) keep(await stepwise.decode(id))
    }
    whole.dispose()
    stepwise.dispose()
  }
  return Uint32Array.from(found)
}

describe.each(cases)('%s', (_, request, sequences) => {
  test.each(['strict', 'fast'] as const)('%s math', async (math) => {
    const compiled = await compileForTest({ ...request, math })
    const run = async (threads: number): Promise<Uint32Array> => {
      await using model = await compiled.open('wasm', { threads })
      return await bitsOf(model, sequences)
    }
    const alone = await run(1)
    expect(alone.length).toBeGreaterThan(1000)
    for (const threads of [2, 3, 4, 4])
      expect(Buffer.compare(Buffer.from((await run(threads)).buffer), Buffer.from(alone.buffer)), `${threads} threads`).toBe(0)
  })
})
