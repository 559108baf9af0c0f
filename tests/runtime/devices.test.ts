// The same artifact on WASM and on WebGPU (Dawn on SwiftShader): loading, states, forks, growth, readback, loss.
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { packArtifact } from '../../compiler/artifact/write.ts'
import { relaxedSimd } from '../../runtime/devices/relaxed-simd.ts'
import { load } from '../../runtime/index.ts'
import type { LoadProgress, Model, ModelOptions } from '../../runtime/index.ts'
import { createSoftwareGpu } from '../support/dawn.ts'
import { contents, expectedCells } from './tiny-artifact.ts'

const files = await packArtifact(contents())
let gpu: GPU
beforeAll(async () => {
  gpu = await createSoftwareGpu()
})
const options = (device: 'wasm' | 'webgpu'): ModelOptions => (device === 'wasm' ? { device } : { device, gpu })

test('relaxed SIMD computes right numbers here', async () => {
  expect((await relaxedSimd()).works).toBe(true)
})

test('auto takes the first variant that can run', async () => {
  const wasm = await load(files)
  expect(wasm.device).toBe('wasm')
  const webgpu = await load(files, { gpu })
  expect(webgpu.device).toBe('webgpu')
  await wasm.dispose()
  await webgpu.dispose()
  await expect(load(files, { device: 'webgpu' })).rejects.toMatchObject({ code: 'E_NO_DEVICE' })
})

describe.each(['wasm', 'webgpu'] as const)('%s', (device) => {
  const step = async (session: ReturnType<Model['createSession']>, tokens: number[], start: number) => {
    const [cells, count] = await session.call('step', { tokens, start })
    expect([...count!.values]).toEqual([tokens.length])
    expect(count!.values).toBeInstanceOf(Int32Array)
    return cells!.values
  }

  test('sessions have states of their own; forks copy them; blocks are zeroed when used again', async () => {
    const model = await load(files, options(device))
    const a = model.createSession()
    const b = model.createSession()
    const first = expectedCells([], [1, 2, 3], 2)
    expect(await step(a, [1, 2, 3], 2)).toEqual(first)
    const second = expectedCells([], [3, 3, 3, 3, 3], 0)
    expect(await step(b, [3, 3, 3, 3, 3], 0)).toEqual(second)
    const fork = a.fork()
    expect(await step(fork, [0], 2)).toEqual(expectedCells(first, [0], 2))
    expect(await step(a, [1], 7)).toEqual(expectedCells(first, [1], 7))
    b.dispose()
    await step(a, [0], 0)
    for (let i = 0; i < 12; i++) expect(await step(model.createSession(), [2], i % 8)).toEqual(expectedCells([], [2], i % 8))
    await model.dispose()
    await expect(step(a, [1], 0)).rejects.toMatchObject({ code: 'E_DISPOSED' })
  })

  test('steady state creates no resources', async () => {
    const model = await load(files, options(device))
    const session = model.createSession()
    await step(session, [1], 0)
    const spies = [vi.spyOn(WebAssembly, 'Instance'), vi.spyOn(WebAssembly, 'compile'), vi.spyOn(WebAssembly.Memory.prototype, 'grow')]
    for (let i = 0; i < 20; i++) await step(session, [i % 4], i % 8)
    for (const spy of spies) {
      expect(spy).not.toHaveBeenCalled()
      spy.mockRestore()
    }
    await model.dispose()
  })

  test('weights are verified and awaited', async () => {
    const events: LoadProgress[] = []
    const model = await load(files, { ...options(device), onProgress: (event) => events.push(event) })
    expect(events.findLast(({ type }) => type === 'weights')).toMatchObject({ loaded: 16, total: 16 })
    const compiled = events.filter(({ type }) => type === 'pipelines')
    expect(compiled.map(({ loaded, total }) => [loaded, total])).toEqual(
      device === 'webgpu'
        ? [
            [1, 2],
            [2, 2],
          ]
        : [],
    )
    await model.dispose()
    const damaged = new Map(files).set(
      'weights-000.bin',
      Uint8Array.from(files.get('weights-000.bin')!, (byte, i) => (i === 3 ? byte ^ 1 : byte)),
    )
    await expect(load(damaged, options(device))).rejects.toMatchObject({ code: 'E_ARTIFACT_HASH' })
    await expect(load(files, { ...options(device), signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'E_ABORTED' })
    const bare = await packArtifact({ ...contents(), withWeights: false })
    await expect(load(bare, options(device))).rejects.toMatchObject({ code: 'E_NO_WEIGHTS' })
  })
})

describe('webgpu', () => {
  test('one submit and one pass a call; nothing is created after the first', async () => {
    const device = await (await gpu.requestAdapter())!.requestDevice()
    const model = await load(files, { device: 'webgpu', gpu: device })
    const session = model.createSession()
    await session.call('step', { tokens: [1], start: 0 })
    const created = (
      ['createBuffer', 'createBindGroup', 'createComputePipelineAsync', 'createShaderModule', 'createBindGroupLayout'] as const
    ).map((name) => vi.spyOn(device, name))
    const submit = vi.spyOn(device.queue, 'submit')
    for (let i = 0; i < 8; i++) await session.call('step', { tokens: [1, 2], start: i % 4 })
    expect(submit).toHaveBeenCalledTimes(8)
    for (const spy of created) expect(spy).not.toHaveBeenCalled()
    await model.dispose()
    device.destroy() // it was the test's: the model must have left it alive
  })

  test("a lost device: an error when it is the caller's, replaced and replayed when it is not", async () => {
    const mine = await (await gpu.requestAdapter())!.requestDevice()
    const lost = await load(files, { device: 'webgpu', gpu: mine })
    const session = lost.createSession()
    mine.destroy()
    await expect(session.call('step', { tokens: [1], start: 0 })).rejects.toMatchObject({ code: 'E_DEVICE_LOST' })

    const devices: GPUDevice[] = []
    const watched = {
      requestAdapter: async () => {
        const adapter = (await gpu.requestAdapter())!
        return {
          features: adapter.features,
          requestDevice: async () => {
            const device = await adapter.requestDevice()
            devices.push(device)
            return device
          },
        }
      },
    } as unknown as GPU
    const model = await load(files, { device: 'webgpu', gpu: watched })
    const a = model.createSession()
    const before = (await a.call('step', { tokens: [1, 2], start: 0 }))[0]!.values
    devices[0]!.destroy()
    const after = (await a.call('step', { tokens: [3], start: 4 }))[0]!.values
    expect(after).toEqual(expectedCells(before, [3], 4))
    expect(devices).toHaveLength(2)
    await model.dispose()
  })

  test('a call that is too large leaves no error scope open', async () => {
    const large = contents()
    const [first, second] = large.variants
    if (first?.target !== 'webgpu') throw new Error('internal: the order of the variants')
    const { step, ...entries } = first.program.entries
    const workgroups = [[{ size: { const: 70_000, terms: [] }, divisor: 1 }]]
    const dispatches = step!.dispatches.map((dispatch) => ({ ...dispatch, workgroups }))
    const program = { ...first.program, entries: { ...entries, step: { ...step!, dispatches } } }
    const device = await (await gpu.requestAdapter())!.requestDevice()
    const scopes = { open: vi.spyOn(device, 'pushErrorScope'), closed: vi.spyOn(device, 'popErrorScope') }
    const model = await load(await packArtifact({ ...large, variants: [{ ...first, program }, second!] }), {
      device: 'webgpu',
      gpu: device,
    })
    for (let i = 0; i < 2; i++) {
      await expect(model.createSession().call('step', { tokens: [1], start: 0 })).rejects.toMatchObject({ code: 'E_LIMIT' })
      expect(scopes.closed.mock.calls.length).toBe(scopes.open.mock.calls.length)
    }
    await model.dispose()
    device.destroy()
  })

  test('a shader that does not compile is named', async () => {
    const bad = contents()
    const [first, second] = bad.variants
    if (first?.target !== 'webgpu') throw new Error('internal: the order of the variants')
    const modules = [{ name: 'broken_kernel', wgsl: 'fn main( {' }, ...first.program.modules.slice(1)]
    const packed = await packArtifact({ ...bad, variants: [{ ...first, program: { ...first.program, modules } }, second!] })
    await expect(load(packed, { device: 'webgpu', gpu })).rejects.toMatchObject({
      code: 'E_DEVICE',
      message: expect.stringContaining('broken_kernel'),
    })
  })
})
