// Modules with 64-bit addresses, which a plan gets that needs more than 4 GiB, forced on small models: the bits are those of 32-bit
// addresses, on one thread and on a team, in several sessions; tools call the kernels; and whoever cannot have such memory is told.

import { describe, expect, test } from 'vitest'
import { neededOperands } from '../../cli/verify/probe.ts'
import { openWasmProbe } from '../../cli/verify/probe-wasm.ts'
import { launchesOf } from '../../compiler/kernel/launches.ts'
import { sourceKey } from '../../compiler/kernel/program.ts'
import { evaluate } from '../../dsl/affine.ts'
import { packArtifact } from '../../compiler/artifact/write.ts'
import { type CompileOptions, compileModel } from '../../compiler/compile.ts'
import { fitForCalls } from '../../compiler/call-size.ts'
import { seededWeights } from '../../compiler/weights/seeded.ts'
import { lowerWasm } from '../../compiler/targets/wasm/lower.ts'
import { buildModule } from '../../compiler/targets/wasm/module.ts'
import type { Numbers } from '../../dsl/index.ts'
import { load, memoryFiles, readArtifact, type Model } from '../../runtime/index.ts'
import { createMemory, wasmUnmet } from '../../runtime/devices/wasm.ts'
import { load as loadFile } from '../dsl/read-models.ts'
import { worstDifference } from '../support/goldens.ts'

const small = { embed: '64', heads: '4', kv_heads: '2', ffn: '96', vocab: '200', depth: '2', ctx: '48' }
const models: readonly (readonly [string, Numbers, CompileOptions['quant']])[] = [
  ['llama', { preset: 'tiny' }, 'q8_0'],
  ['mixtral', { set: { ...small, experts: '4' } }, 'q4_1'],
  ['mistral_ring', { set: { ...small, window: '16' } }, 'none'],
]

async function compiled(name: string, numbers: Numbers, options: Partial<CompileOptions>) {
  const { model } = fitForCalls(loadFile(name), { ...numbers, maximum: { seq: 8 } }, {})
  const { compilation } = compileModel(model!, { targets: ['wasm'], weights: seededWeights(model!.weights, 1), ...options })
  return { compilation: compilation!, files: memoryFiles(await packArtifact(compilation!.contents)) }
}

/** What two sessions give that take turns: scores, and ids that follow from the caches. */
async function play(model: Model): Promise<readonly (readonly number[])[]> {
  const [one, other] = [model.createSession(), model.createSession()]
  const said: number[][] = []
  said.push([...(await one.prefill([1, 2, 3, 4, 5]))], [...(await other.prefill([7, 8]))])
  for (let i = 0; i < 4; i++) said.push([...(await one.decode(10 + i))], [...(await other.decode(20 + i))])
  await model.dispose()
  return said
}

describe.each(models)('%s %o %j', (name, numbers, quant) => {
  test('the same bits with addresses of 32 and of 64 bits, on one thread and on three', async () => {
    const [narrow, wide] = await Promise.all([false, true].map((one) => compiled(name, numbers, { quant: quant!, wide: one })))
    const { variants } = wide!.compilation.contents
    expect(variants.length).toBeGreaterThan(1)
    expect(variants.every(({ requires }) => requires.includes('memory64'))).toBe(true)
    const wanted = await play(await load(narrow!.files, { device: 'wasm', threads: 1 }))
    expect(wanted.flat().every(Number.isFinite)).toBe(true)
    for (const threads of [1, 3]) {
      const model = await load(wide!.files, { device: 'wasm', threads })
      expect(model.device.includes(`${threads} threads`)).toBe(threads > 1)
      expect(await play(model), `${threads} threads`).toEqual(wanted)
    }
  })
})

test('tools call the kernels of a wide module', async () => {
  const [narrow, wide] = await Promise.all([false, true].map((one) => compiled('llama', { preset: 'tiny' }, { quant: 'q8_0', wide: one })))
  const results = await Promise.all(
    [narrow!, wide!].map(async ({ compilation, files }) => {
      const artifact = await readArtifact(files)
      const { plan, programs } = compilation.results[0]!
      const probe = await openWasmProbe(artifact, plan!, 'up to')
      const decode = programs.find(({ entry }) => entry === 'decode')!
      const last = launchesOf(decode).length - 1
      const inputs = neededOperands(decode, last, 'up to').map(({ source, dims }) => {
        const count = dims.reduce((product, dim) => product * evaluate(dim, { start: 0 }), 1)
        return [sourceKey(source), new Int32Array(count).fill(source.kind === 'argument' ? 5 : 0)] as const
      })
      const operands = await probe.run('decode', last, { start: 0 }, new Map(inputs))
      probe.dispose()
      return [...operands].map(([key, words]) => [key, [...words]])
    }),
  )
  expect(results[1]).toEqual(results[0])
})

test('a plan beyond 4 GiB gets addresses of 64 bits by itself, at their true places; beyond 16 GiB it is refused', async () => {
  const { model } = fitForCalls(loadFile('llama'), { preset: '7B' }, {})
  const compile = (quant: CompileOptions['quant'], set: Partial<CompileOptions> = {}) =>
    compileModel(model!, { targets: ['wasm'], quant: quant!, weights: new Map(), ...set })
  const { compilation, diagnostics } = compile('q8_0')
  expect(diagnostics).toEqual([])
  const variant = compilation!.contents.variants[0]!
  if (variant.target !== 'wasm') throw new Error('no WASM variant')
  expect(variant.requires).toContain('memory64')
  expect(variant.memory.statesBase).toBeGreaterThan(2 ** 32)
  expect(WebAssembly.validate((await variant.program()) as Uint8Array<ArrayBuffer>)).toBe(true)
  // The tables of addresses are as they are in the manifest.
  const { plan } = compilation!.results[0]!
  const { program, memory } = lowerWasm(plan!)
  const slots = new Set(program.data.flatMap(({ bytes }) => Array.from(new BigInt64Array(bytes.buffer), Number)))
  const inLayers = memory.tensors.filter((_, i) => plan!.layout.tensors[i]!.path.startsWith('layers['))
  expect(inLayers.length).toBeGreaterThan(200)
  expect(inLayers.filter((address) => !slots.has(address))).toEqual([])
  expect(Math.max(...inLayers)).toBeGreaterThan(2 ** 32)
  const refused = compile('none')
  expect(refused.compilation).toBeUndefined()
  expect(refused.diagnostics).toMatchObject([{ code: 'L601', severity: 'error' }])
  expect(refused.diagnostics[0]!.message).toBe('Llama needs 27.1 GiB; the memory of wasm is 16.0 GiB')
  expect(refused.diagnostics[0]!.help).toContain('--quant ')
})

test('caches that reach beyond 4 GiB hold what small ones hold; only the pages that are touched are there', {
  timeout: 120_000,
}, async () => {
  const sizes = { embed: '256', heads: '4', kv_heads: '4', ffn: '256', vocab: '200', depth: '16' }
  const of = (ctx: string) => compiled('llama', { set: { ...sizes, ctx } }, { math: 'strict', quant: 'none' })
  const wide = await of('150000')
  const { stateBytes, statesBase, requires } = { ...wide.compilation.contents.variants[0]!, ...wasmMemory(wide) }
  expect(requires).toContain('memory64')
  expect(stateBytes).toBeGreaterThan(4.5 * 2 ** 30)
  expect(statesBase).toBeLessThan(2 ** 32)
  const [model, small] = [
    await load(wide.files, { device: 'wasm', threads: 1 }),
    await load((await of('64')).files, { device: 'wasm', threads: 1 }),
  ]
  const [far, near] = [model.createSession(), small.createSession()]
  const close = (got: Iterable<number>, wanted: Iterable<number>) => expect(worstDifference([...got], [...wanted])).toBeLessThan(1e-5)
  close(await far.prefill([1, 2, 3, 4, 5, 6]), await near.prefill([1, 2, 3, 4, 5, 6]))
  for (let i = 0; i < 4; i++) close(await far.decode(10 + i), await near.decode(10 + i))
  await Promise.all([model.dispose(), small.dispose()])
})

function wasmMemory({ compilation }: Awaited<ReturnType<typeof compiled>>) {
  const variant = compilation.contents.variants[0]!
  if (variant.target !== 'wasm') throw new Error('no WASM variant')
  return variant.memory
}

test('a small program stays narrow, and an engine without wide memory is told so', async () => {
  const { compilation } = await compiled('llama', { preset: 'tiny' }, {})
  const { plan, contents } = { ...compilation.results[0]!, ...compilation }
  expect(contents.variants.some(({ requires }) => requires.includes('memory64'))).toBe(false)
  const { program } = lowerWasm(plan!, { wide: true })
  const { binary } = buildModule(program, { relaxed: false })
  expect(() => new WebAssembly.Instance(new WebAssembly.Module(binary), { env: { memory: createMemory(2 ** 20, false, false) } })).toThrow()
  const variant = { requires: ['memory64'] } as unknown as Parameters<typeof wasmUnmet>[0]
  const none = { works: false, pairDots: false }
  expect(wasmUnmet(variant, none)).toBeUndefined()
  const { Memory } = WebAssembly
  try {
    // As engines before memory64: `address` is not known, and pages are no BigInts.
    WebAssembly.Memory = class extends Memory {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        super({ initial: +(descriptor.initial as unknown as string), maximum: 65536 })
      }
    }
    expect(wasmUnmet(variant, none)).toContain('memory64')
  } finally {
    WebAssembly.Memory = Memory
  }
})
