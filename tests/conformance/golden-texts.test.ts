// Texts that llama2.c generates, token for token: stories260K in three containers, greedy and sampled, on every device. The
// sampled ones need llama2.c's generator: one draw a sampled token, none while the prompt is read. Its `steps` counts
// positions, so that a prompt leaves fewer tokens to generate; BOS is position 0.

import { describe, expect, test } from 'vitest'
import type { TargetName } from '../../compiler/targets/index.ts'
import type { Model } from '../../runtime/index.ts'
import { compileForTest, type CompileRequest } from '../support/compiled.ts'
import { dataText } from '../support/goldens.ts'

interface GoldenCase {
  readonly name: string
  readonly temperature: number
  readonly top_p?: number
  readonly seed?: number
  readonly prompt?: string
  readonly expected: string
}

const golden = JSON.parse(dataText('checkpoints/golden.json')) as { readonly steps: number; readonly cases: readonly GoldenCase[] }

// One compilation serves all devices.
const every: readonly TargetName[] = ['wasm', 'webgpu', 'reference']

type Container = Pick<CompileRequest, 'checkpoint' | 'tokenizer'>

const containers: readonly Container[] = [
  { checkpoint: 'checkpoints/stories260K.legacy.bin', tokenizer: 'checkpoints/tok512.bin' },
  { checkpoint: 'checkpoints/stories260K.v1.bin', tokenizer: 'checkpoints/tok512.bin' },
  { checkpoint: 'checkpoints/llama2ts.tinystories_260k_v1.bin' },
]

/** llama2.c's random_f32: xorshift* on 64 bits, the upper 24 of 32 bits as a fraction. */
function xorshift(seed: number): () => number {
  let state = BigInt(seed)
  return () => {
    state ^= state >> 12n
    state = BigInt.asUintN(64, state ^ (state << 25n))
    state ^= state >> 27n
    const u32 = Number(BigInt.asUintN(64, state * 0x2545f4914f6cdd1dn) >> 32n)
    return (u32 >>> 8) / 16777216
  }
}

/** What run.c prints in `steps` positions. */
async function story(model: Model, { temperature, top_p: topP, seed, prompt = '' }: GoldenCase, steps: number): Promise<string> {
  const session = model.createSession()
  const read = prompt === '' ? 0 : model.tokenizer!.encode(prompt).length - 1
  let text = prompt
  const options = { temperature, ...(topP === undefined ? {} : { topP }), ...(seed === undefined ? {} : { random: xorshift(seed) }) }
  for await (const piece of session.generate(prompt, { ...options, maxTokens: steps - read })) text += piece.text
  session.dispose()
  return text
}

async function withModel(request: CompileRequest, device: TargetName, use: (model: Model) => Promise<void>): Promise<void> {
  await using model = await (await compileForTest(request)).open(device)
  await use(model)
}

describe.each(containers)('$checkpoint', (container) => {
  test.each(['strict', 'fast'] as const)('on wasm, %s', (math) =>
    withModel({ model: 'llama', ...container, targets: math === 'strict' ? every : ['wasm'], math }, 'wasm', async (model) => {
      for (const each of golden.cases) expect(await story(model, each, golden.steps), each.name).toBe(each.expected)
    }),
  )

  // A software GPU makes some six calls a second: minutes, but every text to its end.
  test.each(['reference', 'webgpu'] as const)(
    'on %s',
    (device) =>
      withModel({ model: 'llama', ...container, targets: every, math: 'strict' }, device, async (model) => {
        for (const each of golden.cases) expect(await story(model, each, golden.steps), each.name).toBe(each.expected)
      }),
    900_000,
  )
})
