// Estimates: their classes add up to what the artifact of the same request says, they grow with what they should grow with, and what
// is suggested for a model that does not fit makes it fit.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type CompileOptions, buildGraphs, compileModel } from '../../compiler/compile.ts'
import { type Estimate, estimateGraphs, type TargetEstimate } from '../../compiler/estimate.ts'
import { fitForCalls } from '../../compiler/call-size.ts'
import { packArtifact } from '../../compiler/artifact/write.ts'
import type { QuantPolicy } from '../../compiler/plan/quant-policy.ts'
import type { WebgpuProgram } from '../../runtime/artifact/manifest.ts'
import type { TargetName } from '../../compiler/targets/index.ts'
import { unpackWebgpuProgram } from '../../runtime/artifact/webgpu-program.ts'
import { memoryFiles, readArtifact } from '../../runtime/index.ts'
import type { Numbers, SpecialisedModel } from '../../dsl/index.ts'
import { load } from '../dsl/read-models.ts'

const modelOf = (name: string, numbers: Numbers): SpecialisedModel => {
  const { model, diagnostics } = fitForCalls(load(name), numbers, {})
  if (!model) throw new Error(diagnostics.map(({ message }) => message).join())
  return model
}

function estimateOf(model: SpecialisedModel, options: CompileOptions): Estimate {
  const built = buildGraphs(model)
  return estimateGraphs(built.model!, built.graphs, options)
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

const sized = fc.record({
  model: fc.constantFrom('llama', 'gpt2', 'mistral_ring', 'mixtral', 't5'),
  ctx: fc.integer({ min: 2, max: 40 }).map((n) => n * 8),
  depth: fc.integer({ min: 1, max: 3 }),
  seq: fc.integer({ min: 1, max: 16 }),
  quant: fc.constantFrom<QuantPolicy>('none', 'q8_0', 'q4_1', 'q6_k'),
})

const numbersOf = ({ model, ctx, depth, seq }: { model: string; ctx: number; depth: number; seq: number }): Numbers => {
  const small: Record<string, Record<string, string>> = {
    llama: { embed: '256', heads: '4', kv_heads: '2', ffn: '512', vocab: '500' },
    gpt2: { embed: '256', heads: '4', vocab: '500' },
    mistral_ring: { embed: '256', heads: '4', kv_heads: '2', ffn: '512', vocab: '500', window: '64' },
    mixtral: { embed: '256', heads: '4', kv_heads: '2', ffn: '512', vocab: '500', experts: '4' },
    t5: { embed: '256', heads: '4', ffn: '512', vocab: '500' },
  }
  return { set: { ...small[model], ctx: String(ctx), depth: String(depth) }, maximum: { seq } }
}

test('classes are those of the artifact that the same request makes', async () => {
  await fc.assert(
    fc.asyncProperty(sized, async (request) => {
      const model = modelOf(request.model, numbersOf(request))
      const options: CompileOptions = { targets: ['wasm', 'webgpu'], quant: request.quant }
      const estimate = estimateOf(model, options)
      const { compilation } = compileModel(model, options)
      const files = await packArtifact(compilation!.contents)
      const { manifest, program } = await readArtifact(memoryFiles(files))
      const bytesOf = (table: boolean): number =>
        sum(manifest.tensors.flatMap(({ path, bytes }) => (path.startsWith('table:') === table ? [bytes] : [])))
      for (const { target, memory, total, programBytes, perThread, problems } of estimate.targets) {
        expect([memory.weights, memory.tables], target).toEqual([bytesOf(false), bytesOf(true)])
        expect(total).toBe(sum(Object.values(memory)))
        expect(problems).toEqual([])
        const variant = manifest.variants.find((one) => one.target === target)!
        if (variant.target === 'wasm') {
          const { stateBytes, arenaBytes, statesBase } = variant.memory
          expect([memory.states, memory.arena, total, perThread]).toEqual([
            stateBytes,
            arenaBytes,
            statesBase + stateBytes,
            variant.threads!.ownBytes,
          ])
          expect(await programBytes!()).toBe((await program(variant)).length)
        }
        if (variant.target === 'webgpu') {
          const unpacked = unpackWebgpuProgram(JSON.parse(new TextDecoder().decode(await program(variant)))) as WebgpuProgram
          expect(total).toBe(sum(unpacked.buffers.map(({ bytes }) => bytes)))
        }
      }
      expect(sum(estimate.parts.map(({ bytes }) => bytes))).toBe(bytesOf(false))
      expect(sum(estimate.parts.map(({ values }) => values))).toBe(manifest.parameters)
      for (const { formats, bytes } of estimate.parts) expect(sum(Object.values(formats))).toBe(bytes)
      expect(sum(estimate.states.map(({ bytes }) => bytes))).toBe(sum(manifest.states.map(({ bytes }) => bytes)))
    }),
    { numRuns: 4 },
  )
})

const classesOf = ({ targets }: Estimate): readonly (TargetEstimate['memory'] & { total: number })[] =>
  targets.map(({ memory, total }) => ({ ...memory, total }))

test('more context, longer calls and wider formats never take less; states grow by what a position takes', () => {
  fc.assert(
    fc.property(sized, fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 16 }), (request, positions, tokens) => {
      const options: CompileOptions = { targets: ['wasm', 'webgpu'], quant: request.quant }
      const of = (more: Partial<typeof request>, quant = request.quant): Estimate =>
        estimateOf(modelOf(request.model, numbersOf({ ...request, ...more })), { ...options, quant })
      const base = of({})
      const [wider, narrow, plain] = [of({ seq: request.seq + tokens }), of({}, 'q4_0'), of({}, 'none')]
      const longer = of({ ctx: request.ctx + 8 * positions })
      for (const [i, { states, total, weights, arena }] of classesOf(base).entries()) {
        const grown = classesOf(longer)[i]!
        expect(grown.states).toBeGreaterThanOrEqual(states)
        // Larger values may be shared between threads otherwise, which moves a little of the arena.
        expect(grown.total).toBeGreaterThanOrEqual(total - 0.05 * arena)
        expect(classesOf(wider)[i]!.arena).toBeGreaterThanOrEqual(0.95 * arena)
        expect(classesOf(narrow)[i]!.weights).toBeLessThanOrEqual(weights)
        expect(classesOf(plain)[i]!.weights).toBeGreaterThanOrEqual(weights)
      }
      for (const [i, { bytes, bytesPerPosition, state }] of base.states.entries())
        expect(longer.states[i]!.bytes, state).toBe(bytes + 8 * positions * bytesPerPosition)
    }),
    { numRuns: 3 },
  )
})

test('what is suggested for a model that does not fit makes it fit', () => {
  const cases = [
    ['llama', '7B', 2048, 'none'],
    ['llama', '7B', 2048, 'q4_0'],
    ['llama', '13B', 20_000, 'none'],
    ['llama', '110M', 250_000, 'none'],
    ['gpt2', 'xl', 20_000, 'none'],
    ['t5', '11B', 512, 'q8_0', 128],
    ['llama', '3-8B', 2048, 'q4_0', 1024],
  ] as const satisfies readonly (readonly [string, string, number, QuantPolicy, number?])[]
  const suggested: string[] = []
  for (const [name, preset, ctx, quant, most] of cases) {
    const of = (among: readonly TargetName[], ctxNow: number, quantNow: string, seq?: number): readonly TargetEstimate[] =>
      estimateOf(modelOf(name, { preset, set: { ctx: String(ctxNow) }, ...(seq === undefined ? {} : { maximum: { seq } }) }), {
        targets: among,
        quant: quantNow as QuantPolicy,
      }).targets
    for (const { target, problems } of of(['wasm', 'webgpu'], ctx, quant, most)) {
      for (const { help = '' } of problems) {
        for (const way of help.split(';')) {
          const flag = (flagName: string): string | undefined => new RegExp(`--${flagName} (\\w+)`).exec(way)?.[1]
          const [quantNow, ctxNow, seq] = [flag('quant'), flag('ctx'), flag('max-seq')]
          if (quantNow === undefined && ctxNow === undefined && seq === undefined) continue
          suggested.push(way)
          const after = of([target], Number(ctxNow ?? ctx), quantNow ?? quant, seq === undefined ? most : Number(seq))
          expect(after[0]!.problems, `${name} ${preset} ${target}: ${way}`).toEqual([])
        }
      }
    }
  }
  expect(suggested.length).toBeGreaterThanOrEqual(cases.length - 2)
  expect(suggested.filter((way) => way.includes('--quant') && way.includes('--ctx')).length).toBeGreaterThan(0)
  expect(suggested.filter((way) => way.includes('--max-seq')).length).toBeGreaterThan(0)
})
