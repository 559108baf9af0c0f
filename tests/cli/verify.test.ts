// `llamac verify` on programs that are wrong on purpose: a kernel of an artifact is altered, its hash is made right again, and
// verify must name exactly that kernel. What is altered is chosen here and not known to verify.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { type Evaluable, type ExaminedCall, examineCall } from '../../cli/verify/bisect.ts'
import { WasmProbe } from '../../cli/verify/probe-wasm.ts'
import { verifyModel } from '../../cli/verify/verify-model.ts'
import { createNodeGpu } from '../../cli/webgpu-node.ts'
import { compile, packageSources, type Request } from '../../compiler/index.ts'
import { launchesOf } from '../../compiler/kernel/launches.ts'
import { isPerInstance } from '../../compiler/kernel/program.ts'
import { kernelsOf } from '../../compiler/kernel/weights.ts'
import { valueKey } from '../../compiler/plan/lifetimes.ts'
import type { Plan } from '../../compiler/plan/plan.ts'
import { readStoredWeights, recompile } from '../../compiler/recompile.ts'
import { ops } from '../../compiler/schedule/build-loops.ts'
import type { LoopFunction, LoopStmt } from '../../compiler/schedule/loops.ts'
import { lowerWasm } from '../../compiler/targets/wasm/lower.ts'
import { buildModule } from '../../compiler/targets/wasm/module.ts'
import { createReference } from '../../compiler/targets/reference/evaluate.ts'
import type { WebgpuProgram } from '../../runtime/artifact/manifest.ts'
import { sha256 } from '../../runtime/artifact/read.ts'
import { unpackWebgpuProgram } from '../../runtime/artifact/webgpu-program.ts'
import { type Artifact, load, type Manifest, memoryFiles, readArtifact, type WasmVariant } from '../../runtime/index.ts'
import { dataPath } from '../support/goldens.ts'
import { llamac } from './llamac.ts'

const folder = mkdtempSync(join(tmpdir(), 'llamac-verify-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

type Files = ReadonlyMap<string, Uint8Array>

/** A chain of kernels whose first value is needed once more at the end. */
const ownModel = `module own

import std.nn { softmax }

config Sizes {
  n:    dim = 24
  wide: dim = 40
  ctx:  dim = 8
}

model Own uses Sizes {
  weight up:   [wide, n]
  weight down: [n, wide]
  entry mix(x: f32[seq, n]) -> f32[seq, n] {
    let r = softmax(x, over: n)
    let h = f32(dot(real(r), up, over: n))
    let sharp = softmax(h * 3.25, over: wide)
    let t = dot(real(sharp), down, over: wide)
    let again = dot(t, up, over: n)
    return f32(dot(again, down, over: wide)) * r
  }
}
`

const spoiledReport = `Llama on wasm, fast math, against the reference; errors are Σ(got − wanted)² / Σ wanted² of the worst row
  prefill  4 calls  error #, # allowed  4 WRONG
  decode   3 calls  error #, # allowed  fine
  score    8 calls  error #, # allowed  fine
the first kernel that differs: prefill_1_pick, launch 20 of 21 in prefill: it computes wrong numbers from right operands
  axes     i0 < 64, k0 < 64
  computes llama.dsl:93  return logits(hidden(tokens, start)[seq: seq - 1])
           std/nn.dsl:29  return real(xf * inv) * w
           std/nn.dsl:28  let inv = rsqrt(mean(xf * xf, over: n) + eps)
  writes   value v1[#] = #, wanted #; error #
the artifact's program is not what this compiler makes of its source: it was altered, or made by another version
the device gives wrong numbers
`

const settings = { bisect: false, length: 5, seed: 3 }

async function compiled(request: Partial<Request>, own = new Map<string, string>()) {
  const result = await compile(packageSources(own), { entry: 'models/llama.dsl', seedWeights: 1, ...request })
  if (!result.ok) throw new Error(result.diagnostics.map(({ message }) => message).join('; '))
  return result
}

function written(name: string, files: Files): string {
  const path = join(folder, name)
  mkdirSync(path)
  for (const [file, bytes] of files) writeFileSync(join(path, file), bytes)
  return path
}

/** Measured numbers depend on the machine's rounding: their digits do not count. */
const masked = (text: string): string => text.replaceAll(/-?\d+(\.\d+)?e[+-]\d+|-?\d+\.\d+/g, '#').replaceAll(/\[[\d, ]+\](?= = #)/g, '[#]')

async function evaluable(artifact: Artifact): Promise<Evaluable> {
  const recompiled = await recompile(artifact, 'wasm')
  return { ...recompiled, weight: await readStoredWeights(artifact, recompiled) }
}

/** One call of the entry `mix`, and what the reference says. */
function callOf({ compilation, weight }: Evaluable): ExaminedCall {
  const [entry, symbols] = ['mix', { seq: 3 }]
  const inputs = { x: Float32Array.from({ length: 3 * 24 }, (_, i) => Math.sin(i * 1.7)) }
  const { results: wanted } = createReference(compilation.graphs, { weight }).run(entry, symbols, inputs)
  return { entry, symbols, inputs, states: new Map(), wanted }
}

/** The artifact with some files replaced and the manifest's hashes of programs made right. */
async function altered(files: Files, programs: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): Promise<Files> {
  const manifest = JSON.parse(new TextDecoder().decode(files.get('manifest.json'))) as Manifest
  const variants = await Promise.all(
    manifest.variants.map(async (variant) => {
      const bytes = 'program' in variant ? programs.get(variant.program) : undefined
      return bytes ? { ...variant, sha256: await sha256(bytes) } : variant
    }),
  )
  return new Map([...files, ...programs, ['manifest.json', new TextEncoder().encode(JSON.stringify({ ...manifest, variants }))]])
}

async function verified(files: Files, device: 'wasm' | 'webgpu' = 'wasm', flags: Partial<typeof settings> = {}) {
  const source = memoryFiles(files)
  await using model = await load(source, device === 'wasm' ? { device } : { device, gpu: await createNodeGpu({ software: true }) })
  return await verifyModel(await readArtifact(source), model, { ...settings, ...flags })
}

/** The function with its last store to a buffer changed: floats by a fiftieth, integers (bytes of activations) by a bit. */
function spoiled(fn: LoopFunction): LoopFunction {
  let done = false
  const inside = (body: readonly LoopStmt[]): LoopStmt[] =>
    body
      .toReversed()
      .map((s): LoopStmt => {
        if (s.kind === 'loop') return { ...s, body: inside(s.body) }
        if (s.kind === 'if') return { ...s, no: inside(s.no ?? []), yes: inside(s.yes) }
        if (s.kind !== 'store' || done || fn.operands[s.operand]!.memory.kind === 'scratch') return s
        done = true
        return { ...s, value: s.value.type.startsWith('f32') ? ops.mul(s.value, 1.02) : ops.xor(s.value, 1) }
      })
      .toReversed()
  const body = inside(fn.body)
  expect(done, fn.name).toBe(true)
  return { ...fn, body }
}

/** Every WASM program of the artifact with one kernel spoiled. */
async function withSpoiledKernel(files: Files, plan: Plan, kernel: string): Promise<Files> {
  const { program } = lowerWasm(plan)
  const kernels = program.kernels.map((fn) => (fn.name === kernel ? spoiled(fn) : fn))
  const { variants } = JSON.parse(new TextDecoder().decode(files.get('manifest.json'))) as Manifest
  return altered(
    files,
    new Map(
      variants.flatMap((variant) =>
        variant.target === 'wasm'
          ? [
              [
                variant.program,
                buildModule(
                  { ...program, kernels },
                  {
                    relaxed: variant.requires.includes('relaxed-simd'),
                    pairs: variant.requires.includes('pair-dots'),
                    shared: variant.requires.includes('threads'),
                  },
                ).binary,
              ] as const,
            ]
          : [],
      ),
    ),
  )
}

describe('a spoiled kernel is named', () => {
  test.each(['none', 'q8_0'] as const)('on WASM, weights %s', async (quant) => {
    const { artifact, compilation } = await compiled({ preset: 'tiny', quant })
    const { plan } = compilation.results[0]!
    const fine = await verified(artifact, 'wasm', { bisect: true })
    expect(fine).toMatchObject({ fine: true, unaltered: true })
    expect(fine.kernels!.kernels).toBe(plan!.entries.reduce((sum, { program }) => sum + launchesOf(program).length, 0))
    // The first kernel, attention, the last one; and one that only `decode` runs.
    const names = plan!.entries.map(({ program }) => [...new Set(kernelsOf(program.steps).map(({ name }) => name))])
    for (const kernel of [names[0]![0]!, names[0]![Math.floor(names[0]!.length / 2)]!, names[0]!.at(-1)!, names[1]![3]!]) {
      const report = await verified(await withSpoiledKernel(artifact, plan!, kernel), 'wasm', { bisect: true })
      expect(report).toMatchObject({ fine: false, unaltered: false, kernels: { fault: { kernel, mode: 'alone' } } })
      expect(report.kernels!.fault!.places.length, kernel).toBeGreaterThan(0)
    }
  })

  test('among those that copy values by path out of a layer', async () => {
    const { artifact, compilation } = await compiled({ preset: 'tiny', taps: ['layers.*', 'layers.1.attn'] })
    const { plan } = compilation.results[0]!
    expect(await recompile(await readArtifact(memoryFiles(artifact)), 'wasm')).toMatchObject({ matches: true, unaltered: true })
    const { program } = plan!.entries[0]!
    const kernel = kernelsOf(program.steps).find(({ operands }) =>
      operands.some(({ access, source }) => access === 'write' && source.kind === 'value' && isPerInstance(source)),
    )!
    const { kernels } = await verified(await withSpoiledKernel(artifact, plan!, kernel.name), 'wasm')
    expect(kernels).toMatchObject({ fault: { kernel: kernel.name, mode: 'alone', instance: 'layers[0]' } })
    expect(kernels!.fault!.output).toMatch(/^value layers\[0\]\.v/)
  })

  test('on WebGPU, by a constant in its text', async () => {
    const { artifact } = await compiled({ entry: 'own.dsl', target: 'webgpu' }, new Map([['own.dsl', ownModel]]))
    const packed = JSON.parse(new TextDecoder().decode(artifact.get('program-0.webgpu.json'))) as { lines: string[] }
    const { modules } = unpackWebgpuProgram(packed) as WebgpuProgram
    const module = modules.find(({ wgsl }) => wgsl.includes('3.25'))!
    packed.lines = packed.lines.map((line) => line.replaceAll('3.25', '3.5'))
    const report = await verified(
      await altered(artifact, new Map([['program-0.webgpu.json', new TextEncoder().encode(JSON.stringify(packed))]])),
      'webgpu',
    )
    const { fault } = report.kernels!
    expect(report).toMatchObject({ fine: false, unaltered: false })
    expect(fault).toMatchObject({ kernel: module.name, entry: 'mix', mode: 'alone' })
    expect(fault!.places).toContainEqual({ file: 'own.dsl', line: 17, text: 'let sharp = softmax(h * 3.25, over: wide)' })
  })
})

describe('when every kernel is right alone', () => {
  test('values that overlap in a plan are found at the kernel that misses its operand', async () => {
    const { artifact } = await compiled({ entry: 'own.dsl', set: { ctx: '4' } }, new Map([['own.dsl', ownModel]]))
    const files = await readArtifact(memoryFiles(artifact))
    const recompiled = await evaluable(files)
    const plan = recompiled.result.plan!
    const launches = launchesOf(plan.entries[0]!.program)
    // A value that is read again after others were written, and one that is written in between.
    const ids = launches.map(({ kernel }) => kernel.operands.flatMap(({ source }) => (source.kind === 'value' ? [source.id] : [])))
    const [early, late] = [ids[0]!.at(-1)!, ids.findLastIndex((list) => list.includes(ids[0]!.at(-1)!))]
    const between = ids[2]!.find((id) => !ids[1]!.includes(id) && !ids[late]!.includes(id))!
    expect([late > 3, between]).toEqual([true, expect.any(String)])
    const offsets = new Map(plan.entries[0]!.arena.offsets)
    offsets.set(valueKey(between), offsets.get(valueKey(early))!)
    const broken: Plan = { ...plan, entries: [{ ...plan.entries[0]!, arena: { ...plan.entries[0]!.arena, offsets } }] }
    const call = callOf(recompiled)
    const variant = files.manifest.variants.find(({ target, requires }) => target === 'wasm' && !requires.includes('threads'))!
    const alone = await WasmProbe.open(files, variant as WasmVariant, broken, 'alone')
    expect(await examineCall(recompiled, alone, 'alone', call, 1e-7)).toEqual({ kernels: launches.length })
    const together = await WasmProbe.open(files, variant as WasmVariant, broken, 'up to')
    expect((await examineCall(recompiled, together, 'up to', call, 1e-7)).fault).toMatchObject({
      kernel: launches[late]!.kernel.name,
      mode: 'up to',
    })
  })

  test('kernels that do not mean what the model means are a fault of the compiler', async () => {
    const { artifact } = await compiled({ entry: 'own.dsl' }, new Map([['own.dsl', ownModel]]))
    const files = await readArtifact(memoryFiles(artifact))
    const recompiled = await evaluable(files)
    const { wanted, ...call } = callOf(recompiled)
    const variant = files.manifest.variants.find(({ target, requires }) => target === 'wasm' && !requires.includes('threads'))!
    const probe = await WasmProbe.open(files, variant as WasmVariant, recompiled.result.plan!, 'alone')
    const other = wanted.map((tensor) => ({ ...tensor, data: tensor.data.map((value, i) => (i === 0 ? value + 1 : value)) }))
    expect((await examineCall(recompiled, probe, 'alone', { ...call, wanted: other }, 1e-7)).misbuilt).toMatchObject({
      entry: 'mix',
      result: 0,
    })
  })
})

test('the command says where and exits with 1; without the texts in the artifact it says what it needs', async () => {
  const { artifact, compilation } = await compiled({ preset: 'tiny' })
  const { plan, programs } = compilation.results[0]!
  const kernel = launchesOf(programs[0]!).at(-2)!.kernel.name
  const path = written('spoiled', await withSpoiledKernel(artifact, plan!, kernel))
  const { status, stdout, stderr } = llamac('verify', path)
  expect([status, stderr]).toEqual([1, ''])
  expect(masked(stdout)).toBe(spoiledReport)
  expect(JSON.parse(llamac('verify', path, '--json').stdout)).toMatchObject({ fine: false, kernels: { fault: { kernel } } })

  const manifest = JSON.parse(new TextDecoder().decode(artifact.get('manifest.json'))) as Manifest
  const { source: _, ...rest } = manifest
  const silent = written('silent', new Map([...artifact, ['manifest.json', new TextEncoder().encode(JSON.stringify(rest))]]))
  const refused = llamac('verify', silent)
  expect([refused.status, refused.stdout]).toEqual([1, ''])
  expect(refused.stderr).toContain('error[E_NO_SOURCE]')
})

// Encoder and decoder with states in between, and an encoder that reads segments: calls are made up for any entries.
test.each([
  ['marian', 'marian'],
  ['bert', 'bert'],
])('%s is as its reference', async (model, data) => {
  const { status, stdout } = llamac(
    'verify',
    `models/${model}.dsl`,
    '--weights',
    dataPath(`hf-golden/${data}`),
    '--max-seq',
    '16',
    '--json',
  )
  expect(status).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ fine: true, unaltered: true })
})
