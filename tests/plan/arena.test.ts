// The arena: no two values that live at once meet, nothing is smaller than the largest live set, and on every published model, at its
// real sizes and on both targets, the placement needs at most a tenth more than that.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fitForCalls } from '../../compiler/call-size.ts'
import { buildGraphs, planGraphs } from '../../compiler/compile.ts'
import { alignment, type Arena, aliveAt, type Buffer, largestLiveSet, overlap, placeBuffers } from '../../compiler/plan/arena.ts'
import type { TargetName } from '../../compiler/targets/index.ts'
import { loadModel } from '../../dsl/index.ts'
import { modelNames, readProject } from '../dsl/read-models.ts'

/** Pairs of buffers that live at once and share a byte. */
function clashes(buffers: readonly Buffer[], { offsets }: Pick<Arena, 'offsets'>): string[] {
  return buffers.flatMap((a, i) =>
    buffers.slice(i + 1).flatMap((b) => {
      const [from, other] = [offsets.get(a.id)!, offsets.get(b.id)!]
      return overlap(a, b) && from < other + b.bytes && other < from + a.bytes ? [`${a.id} and ${b.id}`] : []
    }),
  )
}

/** Spans from how long they and the gaps between them are. */
const spansOf = (from: number, lengths: readonly (readonly [number, number])[]): Buffer['spans'] => {
  let next = from
  return lengths.map(([steps, gap]) => {
    const span = { from: next, to: next + steps }
    next = span.to + 2 + gap
    return span
  })
}

const buffers = fc
  .array(
    fc.record({
      bytes: fc.integer({ min: 1, max: 4000 }),
      from: fc.integer({ min: -1, max: 20 }),
      lengths: fc.array(fc.tuple(fc.nat(9), fc.nat(5)), { minLength: 1, maxLength: 3 }),
    }),
    { maxLength: 24 },
  )
  .map((list) => list.map(({ bytes, from, lengths }, i): Buffer => ({ id: `b${i}`, bytes, spans: spansOf(from, lengths) })))

test('any buffers: apart where they live at once, aligned, never below the largest live set, the same whatever their order', () => {
  fc.assert(
    fc.property(buffers, fc.infiniteStream(fc.nat()), (list, keys) => {
      const arena = placeBuffers(list)
      expect(clashes(list, arena)).toEqual([])
      expect([...arena.offsets.values()].every((offset) => offset >= 0 && offset % alignment === 0)).toBe(true)
      const { step, bytes } = largestLiveSet(list)
      expect(arena.lowerBound).toBe(bytes)
      expect(aliveAt(list, step)).toBe(bytes)
      for (let at = -1; at <= 70; at++) expect(aliveAt(list, at)).toBeLessThanOrEqual(bytes)
      expect(arena.bytes).toBeGreaterThanOrEqual(bytes)
      const shuffled = list
        .map((buffer) => ({ buffer, key: keys.next().value }))
        .sort((a, b) => a.key - b.key)
        .map(({ buffer }) => buffer)
      expect([...placeBuffers(shuffled).offsets].sort()).toEqual([...arena.offsets].sort())
    }),
    { numRuns: 500 },
  )
})

test('where largest first wastes memory, another order is found', () => {
  // Largest first: last and middle side by side, early beside middle in the space below, and no room left for late but on top.
  const list: readonly Buffer[] = [
    { id: 'last', bytes: 1216, spans: [{ from: 3, to: 3 }] },
    { id: 'middle', bytes: 1152, spans: [{ from: 2, to: 3 }] },
    { id: 'early', bytes: 896, spans: [{ from: 0, to: 2 }] },
    { id: 'late', bytes: 576, spans: [{ from: 0, to: 2 }] },
  ]
  const { bytes, lowerBound } = placeBuffers(list)
  expect([bytes, lowerBound]).toEqual([2624, 2624])
})

const examples = ['mpt', 'olmo2', 'parallel_llama', 'relu-llama'].map((name) => `examples/${name}`)
const planned = [...modelNames.map((name) => `models/${name}`), ...examples].map((file) => {
  const { model } = loadModel(`${file}.dsl`, readProject)
  return [file, model!.presets.at(-1)] as const
})

test.each(planned)('%s %s: at most a tenth above the largest live set, on every target', (file, preset) => {
  const { model: checked } = loadModel(`${file}.dsl`, readProject)
  const { model } = fitForCalls(checked!, preset === undefined ? {} : { preset }, {})
  // OLMo 2's norms of whole queries and keys need more workgroup memory than WebGPU promises.
  const targets: readonly TargetName[] = file === 'examples/olmo2' ? ['wasm'] : ['wasm', 'webgpu']
  const { graphs } = buildGraphs(model!)
  const { targets: made } = planGraphs(model!, graphs, { targets, quant: 'q8_0' })
  for (const { target, plan } of made) {
    for (const { info, arena, buffers: list } of plan!.entries) {
      expect(clashes(list, arena), `${target} ${info.name}`).toEqual([])
      // As placed: with the longer lives that values have where there is room.
      const own = list.filter(({ id }) => arena.offsets.get(id)! >= plan!.ownFrom)
      const bound = largestLiveSet(own).bytes + largestLiveSet(list.filter((buffer) => !own.includes(buffer))).bytes
      expect(bound).toBeGreaterThanOrEqual(arena.lowerBound)
      expect(arena.bytes / bound, `${target} ${info.name}`).toBeLessThanOrEqual(1.1)
    }
    const bound = Math.max(...plan!.entries.map(({ arena }) => arena.lowerBound))
    expect(plan!.arenaBytes / bound, target).toBeLessThanOrEqual(1.1)
  }
})

test('the arena does not grow with the context: prompts are read in chunks, and no scores of a whole context are kept', () => {
  for (const name of ['llama', 'gpt2']) {
    const small = { embed: '256', heads: '4', ffn: '512', vocab: '500', depth: '2' }
    const known = Object.fromEntries(Object.entries(small).filter(([field]) => name !== 'gpt2' || field !== 'ffn'))
    const [short, long] = ['1024', '32768'].map((ctx) => {
      const { model: checked } = loadModel(`models/${name}.dsl`, readProject)
      const { model } = fitForCalls(checked!, { set: { ...known, ctx } }, {})
      const { graphs } = buildGraphs(model!)
      return planGraphs(model!, graphs, { targets: ['wasm', 'webgpu'], quant: 'q8_0' }).targets.map(({ plan }) => plan!.arenaBytes)
    })
    for (const [i, bytes] of long!.entries()) expect(bytes / short![i]!, name).toBeLessThanOrEqual(1.01)
  }
})
