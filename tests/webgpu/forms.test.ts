// Forms of WebGPU modules for devices with subgroups and half floats: which variant runs where, what an artifact carries for it, and
// whole models in the forms that the device has, and in those that SwiftShader has not by emulation: subgroups of 8 and 64, halves
// converted and rounded.

import { expect, test } from 'vitest'
import { packWebgpuProgram, unpackWebgpuProgram } from '../../runtime/artifact/webgpu-program.ts'
import { programFor, type WebgpuProgram } from '../../runtime/artifact/manifest.ts'
import { features, unmetFeature } from '../../runtime/devices/webgpu-features.ts'
import { load, type Model } from '../../runtime/index.ts'
import { packArtifact } from '../../compiler/artifact/write.ts'
import { packedDots } from '../../compiler/targets/webgpu/dispatch.ts'
import { lowerWebgpu } from '../../compiler/targets/webgpu/lower.ts'
import { type Compiled, type CompileRequest, compileForTest } from '../support/compiled.ts'
import { createNullGpu, createSoftwareGpu, formFeatures, openDevice, openFormsDevice } from '../support/dawn.ts'
import { newWatch, watchedGpu } from '../support/watched-gpu.ts'

const small = { model: 'llama', checkpoint: 'hf-golden/llama-gqa', targets: ['webgpu'], entries: ['prefill', 'decode'] } as const
const compile = (more: Partial<CompileRequest> = {}): Promise<Compiled> => compileForTest({ ...small, ...more })
const programOf = ({ compilation }: Compiled): WebgpuProgram => (compilation.contents.variants[0] as { program: WebgpuProgram }).program
const both = ['shader-f16', 'subgroups'] as const
/** What devices may have, the least first. */
const forms: readonly (readonly GPUFeatureName[])[] = [[], ['subgroups'], ['shader-f16'], both]

/** Of a prompt, where one may be read, and two tokens. */
async function scoresIn(model: Model, prompted = true): Promise<number[][]> {
  const session = model.createSession()
  const tokens = Array.from({ length: 24 }, (_, i) => (i * 37 + 5) % 100)
  const found = prompted ? [(await session.call('prefill', { tokens, start: 0 }))[0]!.values] : []
  for (const start of [24, 25])
    found.push((await session.call('decode', { tokens: [start], start: prompted ? start : start - 24 }))[0]!.values)
  return found.map((values) => [...(values as Float32Array)])
}

/** On a device that has what the program takes. */
async function scoresOf({ compilation }: Compiled, program: WebgpuProgram, gpu: GPUDevice, prompted = true): Promise<number[][]> {
  const files = await packArtifact({ ...compilation.contents, variants: [{ target: 'webgpu', requires: [], program }] })
  await using model = await load(files, { device: 'webgpu', gpu })
  return await scoresIn(model, prompted)
}

/** Σ(a−b)² / Σb² */
const errorOf = (got: readonly number[], wanted: readonly number[]): number =>
  got.reduce((sum, value, i) => sum + (value - wanted[i]!) ** 2, 0) / wanted.reduce((sum, value) => sum + value * value, 0)

test('one program serves all variants; strict sums keep their order', async () => {
  const compiled = await compile({ quant: 'q4_0', math: 'fast' })
  const { variants } = compiled.compilation.contents
  expect(variants.map(({ requires }) => requires.join())).toEqual(['shader-f16,subgroups', 'shader-f16', 'subgroups', ''])
  expect([...compiled.files.keys()].filter((name) => name.startsWith('program'))).toEqual(['program-0.webgpu.json'])
  const strict = await compile({ quant: 'q4_0', math: 'strict' })
  expect(strict.compilation.contents.variants.map(({ requires }) => requires.join())).toEqual(['shader-f16', ''])
  const [program, inOrder] = [programOf(compiled), programOf(strict)]
  expect(inOrder.entries).toEqual(program.entries)
  expect(programFor(inOrder, []).modules).toEqual(programFor(program, []).modules)
  expect(programFor(inOrder, both).modules).toEqual(programFor(program, ['shader-f16']).modules)
  expect(unpackWebgpuProgram(JSON.parse(JSON.stringify(packWebgpuProgram(program))))).toEqual(program)
  const enabled = (needs: readonly string[]): number =>
    programFor(program, needs).modules.filter(({ wgsl }) => wgsl.includes('enable ')).length
  expect([enabled([]), enabled(['subgroups']) > 0, enabled(['shader-f16']) > 0]).toEqual([0, true, true])
})

test('products of bytes have a form for devices with packed dots, and one for all others', async () => {
  const whole = { checkpoint: 'hf-golden/llama', quant: 'q4_0', math: 'fast', entries: ['decode'] } as const
  const compiled = await compile({ ...whole, activations: 'int8' })
  const { variants, manifest } = compiled.compilation.contents
  expect(manifest.activations).toBe('int8')
  const plain = [['shader-f16', 'subgroups'], ['shader-f16'], ['subgroups'], []]
  expect(variants.map(({ requires }) => requires)).toEqual([...plain.map((needs) => [...needs, packedDots]), ...plain])
  const program = programOf(compiled)
  const having = (text: string, ...needs: string[]): number =>
    programFor(program, needs).modules.filter(({ wgsl }) => wgsl.includes(text)).length
  const dots = having('fn dot4_')
  expect(dots).toBeGreaterThan(4)
  expect([having('dot4I8Packed'), having('dot4I8Packed', packedDots), having('dot4I8Packed', ...both, packedDots)]).toEqual([0, dots, dots])
  const gpu = await createSoftwareGpu()
  expect(await unmetFeature([packedDots], gpu)).toBeUndefined()
  const { device, errors } = await openDevice(gpu)
  const native = await scoresOf(compiled, programFor(program, [packedDots]), device, false)
  // Integers: the same scores, bit for bit.
  expect(await scoresOf(compiled, programFor(program, []), device, false)).toEqual(native)
  // What is rounded is the same on WebAssembly.
  const { files } = await compile({ ...whole, targets: ['wasm'] })
  await using model = await load(files, { device: 'wasm', threads: 1 })
  for (const [call, values] of (await scoresIn(model, false)).entries()) expect(errorOf(native[call]!, values)).toBeLessThan(1e-4)
  expect(errors).toEqual([])
  device.destroy()
})

test('features are tried before a variant that requires them is taken', async () => {
  const software = await createSoftwareGpu()
  const has = await formFeatures(software)
  const watch = newWatch()
  let adapters = 0
  const watched = { ...watchedGpu(software, watch) }
  const { requestAdapter } = watched
  watched.requestAdapter = (...args) => {
    adapters++
    return requestAdapter(...args)
  }
  expect(has).toContain('subgroups')
  for (const needs of [...forms, both]) {
    const missing = needs.find((name) => !has.includes(name))
    expect(await unmetFeature(needs, watched)).toBe(missing && `the adapter lacks ${missing}`)
  }
  expect(await unmetFeature(['bgra8unorm-storage'], watched)).toBe('the runtime does not offer bgra8unorm-storage')
  expect([adapters, watch.devices.length]).toEqual([1, 1])
  expect([...watch.buffers, ...watch.errors]).toEqual([])
  // Valid, though nothing runs there; and what does not give the right numbers is not taken.
  const nothing = await createNullGpu()
  const { device } = await openDevice(nothing, { requiredFeatures: [...both] })
  for (const { trials } of Object.values(features)) {
    for (const { wgsl } of trials) {
      const { messages } = await device.createShaderModule({ code: wgsl }).getCompilationInfo()
      expect(messages.map(({ message }) => message)).toEqual([])
    }
  }
  expect(await unmetFeature(['shader-f16'], nothing)).toBe('the device does not read halves exactly')
  expect(await unmetFeature(['subgroups'], nothing)).toBe('the subgroups of the device are not invocations side by side')
  device.destroy()
})

function expectClose(got: readonly number[][], wanted: readonly number[][], bound: number, what: string): void {
  for (const [call, values] of wanted.entries()) {
    const size = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length)
    for (const [i, value] of values.entries())
      expect(Math.abs(got[call]![i]! - value), `${what}, call ${call}, logit ${i}`).toBeLessThanOrEqual(bound * size)
  }
}

test.each([
  // A sum in another order may round to another half.
  [8, { quant: 'q4_0', cache: 'f16' }, 1e-3],
  [64, { quant: 'f16' }, 1e-4],
] as const)('a model by subgroups of %i, halves by conversion', async (subgroup, more, bound) => {
  const compiled = await compile({ ...more, math: 'fast' })
  const { device, errors } = await openFormsDevice(await createSoftwareGpu())
  const program = programOf(compiled)
  const emulated = lowerWebgpu(compiled.compilation.results[0]!.plan!, { subgroups: true, emulated: { subgroup } })
  const wanted = await scoresOf(compiled, programFor(program, []), device)
  expectClose(await scoresOf(compiled, programFor(emulated, both), device), wanted, bound, 'emulated')
  for (const needs of forms.slice(1)) {
    if (!needs.every((name) => device.features.has(name))) continue
    // Halves alone change no number.
    expectClose(await scoresOf(compiled, programFor(program, needs), device), wanted, needs.includes('subgroups') ? bound : 0, needs.join())
  }
  expect(errors).toEqual([])
  device.destroy()
})
