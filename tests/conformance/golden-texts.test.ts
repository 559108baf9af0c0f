// Texts that llama2.c generates, token for token: stories260K in three containers, greedy and sampled, in every place. The
// sampled ones need llama2.c's generator: one draw a sampled token, none while the prompt is read. Its `steps` counts
// positions, so that a prompt leaves fewer tokens to generate; BOS is position 0.

import { describe, expect, test } from 'vitest'
import type { TargetName } from '../../compiler/targets/index.ts'
import { compileForTest, type CompileRequest } from '../support/compiled.ts'
import { dataText } from '../support/goldens.ts'
import { type PlaceModel, type PlaceName, places, placesWith } from '../support/places.ts'

interface GoldenCase {
  readonly name: string
  readonly temperature: number
  readonly top_p?: number
  readonly seed?: number
  readonly prompt?: string
  readonly expected: string
}

const golden = JSON.parse(dataText('checkpoints/golden.json')) as { readonly steps: number; readonly cases: readonly GoldenCase[] }

// One compilation serves all places.
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
async function story(model: PlaceModel, { temperature, top_p: topP, seed, prompt = '' }: GoldenCase, steps: number): Promise<string> {
  const session = model.createSession()
  const read = prompt === '' ? 0 : model.tokenizer!.encode(prompt).length - 1
  let text = prompt
  const options = { temperature, ...(topP === undefined ? {} : { topP }), ...(seed === undefined ? {} : { random: xorshift(seed) }) }
  for await (const piece of session.generate(prompt, { ...options, maxTokens: steps - read })) text += piece.text
  session.dispose()
  return text
}

/** A story and how many positions of it are asked for. */
type Asked = readonly [GoldenCase, steps: number]

/**
 * A software GPU makes some ten calls a second in Node, forty in Chromium: there a whole text whose tokens the GPU draws, and the beginning
 * of one that reads a prompt and whose tokens are drawn here. How the others draw is seen on WASM, in the same hosts.
 */
const askedOf = (name: PlaceName): readonly Asked[] =>
  golden.cases.flatMap((each): Asked[] => {
    if (places[name].target !== 'webgpu' || each.temperature === 0) return [[each, golden.steps]]
    return each.prompt === undefined ? [] : [[each, 48]]
  })

async function expectTexts(container: Container, name: PlaceName, math: 'strict' | 'fast'): Promise<void> {
  const compiled = await compileForTest({ model: 'llama', ...container, targets: math === 'strict' ? every : ['wasm'], math })
  await using model = await places[name].open(compiled)
  for (const [each, steps] of askedOf(name)) {
    const text = await story(model, each, steps)
    expect(steps < golden.steps ? each.expected.slice(0, text.length) : each.expected, each.name).toBe(text)
    expect(text.length, each.name).toBeGreaterThan(steps)
  }
}

const first = containers[0]!
test.each(placesWith(() => true))('%s, %s math', (name, math) => expectTexts(first, name, math))

// The same model in other containers. What they give a device is the same to the byte, so that what holds in one place holds in all.
describe.each(containers.slice(1))('$checkpoint', (container) => {
  test('wasm', () => expectTexts(container, 'wasm', 'strict'))

  test('programs and weights for devices are those of the first container', async () => {
    const packed = async (of: Container) => (await compileForTest({ model: 'llama', ...of, targets: every, math: 'strict' })).files
    const [files, others] = await Promise.all([packed(first), packed(container)])
    const given = [...files.keys()].filter((name) => /^(weights|program)-/.test(name))
    expect(given.length).toBe(4)
    for (const name of given) expect(Buffer.compare(files.get(name)!, others.get(name)!), name).toBe(0)
  })
})
