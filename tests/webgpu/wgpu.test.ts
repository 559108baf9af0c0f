// The second implementation of WebGPU. Its harness: it is naga that reads the shaders, within the guaranteed limits, and its errors
// arrive. And the runtime itself in Deno, on what it has of its own: an artifact's folder gives its text on every device.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { defaultModel } from '../../compiler/package-sources.ts'
import { load, memoryFiles, type Model } from '../../runtime/index.ts'
import { compileForTest } from '../support/compiled.ts'
import { openDevice } from '../support/dawn.ts'
import { createWgpu, startDeno } from '../support/deno/gpu.ts'
import { goldenSequences, worstDifference } from '../support/goldens.ts'

test('wgpu on SwiftShader: its own messages, the guaranteed minimum', async () => {
  const { device, errors } = await openDevice(await createWgpu())
  expect(device.limits.maxStorageBufferBindingSize).toBe(128 * 2 ** 20)
  expect(device.limits.maxStorageBuffersPerShaderStage).toBe(8)
  expect(device.limits.maxComputeInvocationsPerWorkgroup).toBe(256)
  device.pushErrorScope('validation')
  const module = device.createShaderModule({ code: 'fn f() -> i32 { return 1.5; }' })
  expect((await device.popErrorScope())?.message).toContain('cannot convert `{AbstractFloat}` to `i32`')
  expect((await module.getCompilationInfo()).messages[0]).toMatchObject({ type: 'error', lineNum: 1 })
  expect(errors).toEqual([])
  device.createBuffer({ size: 16, usage: 0x8000_0000 })
  await expect.poll(() => errors.length).toBe(1)
  device.destroy()
  expect((await device.lost).reason).toBe('destroyed')
})

// Each entry by itself, so that few shaders are compiled.
test.each([
  ['llama', 'llama-gqa', 'decode', 'none', 'f32', 1e-4],
  ['llama', 'llama', 'decode', 'q4_1', 'f32', 1e-4],
  // A number that is rounded to the other side costs a step of its block.
  ['llama', 'llama', 'score', 'q4_0', 'int8', 1e-2],
  ['llama', 'llama', 'score', 'none', 'f32', 1e-4],
  ['mixtral', 'mixtral', 'decode', 'none', 'f32', 1e-4],
  ['gpt2', 'gpt2', 'decode', 'none', 'f32', 1e-4],
] as const)('%s.dsl on %s: %s, weights %s, activations %s', async (model, folder, entry, quant, activations, bound) => {
  const checkpoint = `hf-golden/${folder}`
  const compiled = await compileForTest({ model, checkpoint, targets: ['webgpu', 'wasm'], quant, activations, entries: [entry] })
  const { ids, logits, vocab } = goldenSequences(folder)[0]!
  const positions = Math.min(6, ids.length)
  const read = async (from: Model): Promise<Float64Array> => {
    const session = from.createSession()
    const rows: ArrayLike<number>[] = []
    if (entry === 'score') rows.push((await session.score(ids.slice(0, positions))).values)
    else for (const id of ids.slice(0, positions)) rows.push(await session.decode(id))
    return Float64Array.from(rows.flatMap((row) => Array.from(row)))
  }
  await using onGpu = await load(memoryFiles(compiled.files), { device: 'webgpu', gpu: await createWgpu() })
  await using onCpu = await compiled.open('wasm')
  const wanted = quant === 'none' ? logits.slice(0, positions * vocab) : await read(onCpu)
  expect(worstDifference(await read(onGpu), wanted)).toBeLessThanOrEqual(bound)
})

test('the model that ships writes its text in Deno, on WASM and on WebGPU', async () => {
  const { files } = await compileForTest({
    model: 'llama',
    checkpoint: defaultModel().weights,
    targets: ['wasm', 'webgpu'],
    quant: 'keep',
    // Its prompt is read token by token then, by fewer shaders: the driver takes long for those with workgroup memory, which wgpu zeroes.
    entries: ['decode'],
  })
  const folder = mkdtempSync(join(tmpdir(), 'llamac-deno-'))
  try {
    for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes)
    const prompt = 'To be, or not'
    const child = await startDeno('./run-model.ts', folder, prompt, '10')
    const [printed, complaints] = await Promise.all([text(child.stdout!), text(child.stderr!)])
    expect(complaints).toBe('')
    const texts = Object.entries(JSON.parse(printed) as Record<string, string>)
    expect(texts.map(([device]) => device)).toEqual(['wasm', 'wasm, 2 threads', 'webgpu'])
    const golden = readFileSync(fileURLToPath(new URL('../golden/default-model.txt', import.meta.url)), 'utf8')
    for (const [device, written] of texts) {
      expect(written.length, device).toBeGreaterThan(10)
      expect(golden.startsWith(prompt + written), `${device}: ${written}`).toBe(true)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
