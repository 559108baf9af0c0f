// Files that mix storage formats between the layers of one array, as llama.cpp's quantiser does: every tensor stays in its file's
// own blocks, on every target the numbers are those of the dequantised weights, and layers that are stored alike share a body.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { FormatName } from '../../compiler/formats/index.ts'
import { createReferenceDevice } from '../../compiler/targets/reference/device.ts'
import { load, memoryFiles, type Model } from '../../runtime/index.ts'
import { type Compiled, type CompileRequest, compileForTest } from '../support/compiled.ts'
import { goldenSequences, worstDifference } from '../support/goldens.ts'
import { mixable, type LayerMatrix, layerMatrices, mixedGguf, type Mixture, withFile } from '../support/mixed-gguf.ts'

const names = Object.keys(layerMatrices) as LayerMatrix[]
const ids = goldenSequences('llama')[0]!.ids.slice(0, 9)

/** Each matrix of each layer in any format: all layers may differ, or few. */
const mixtures: fc.Arbitrary<Mixture> = fc
  .integer({ min: 2, max: 5 })
  .chain((depth) =>
    fc.record({
      depth: fc.constant(depth),
      choices: fc.array(fc.constantFrom(...mixable), { minLength: depth * names.length, maxLength: depth * names.length }),
      outer: fc.tuple(fc.constantFrom(...mixable), fc.constantFrom(...mixable)),
    }),
  )
  .map(({ depth, choices, outer }) => ({
    depth,
    format: (matrix, layer) =>
      matrix === 'token_embd' ? outer[0] : matrix === 'output' ? outer[1] : choices[layer * names.length + names.indexOf(matrix)]!,
  }))

/** llama.cpp's rule for the tensors that a medium mixture keeps more bits of. */
const moreBits = (layer: number, depth: number): boolean =>
  layer < Math.floor(depth / 8) || layer >= Math.floor((7 * depth) / 8) || (layer - Math.floor(depth / 8)) % 3 === 2

/** As a Q4_K_M file: attn_v and ffn_down of some layers in more bits, the output too. */
const medium = (depth: number, few: FormatName, more: FormatName): Mixture => ({
  depth,
  format: (matrix, layer) => (matrix === 'output' || (/attn_v|ffn_down/.test(matrix) && moreBits(layer, depth)) ? more : few),
})

const compileMixed = (path: string, request: Pick<CompileRequest, 'targets' | 'math' | 'entries'>): Promise<Compiled> =>
  compileForTest({ model: 'llama', checkpoint: path, quant: 'keep', maxSeq: 16, ...request })

/** Scores of all positions, and of one more id by the entry for one. */
async function scoresOf(opened: Promise<Model>, decodes = true): Promise<Float64Array> {
  const model = await opened
  const session = model.createSession()
  const { values } = await session.score(ids)
  const more = decodes ? await session.decode(ids[0]!) : []
  await model.dispose()
  return Float64Array.from([...values, ...more])
}

/** Formats are the file's, and no tensor takes more bytes than there, but for filling up groups of 8 rows. */
function expectKept({ compilation: { contents, notes } }: Compiled, stored: ReturnType<typeof mixedGguf>['stored']): void {
  expect(notes).toEqual([])
  const matrices = contents.tensors.filter(({ path, dims }) => !path.startsWith('table:') && dims.length > 1)
  expect(matrices.length).toBe(stored.size - [...stored.keys()].filter((name) => name.includes('norm')).length)
  const count = (list: Iterable<{ readonly format: string; readonly bytes: number }>) =>
    [...list].map(({ format, bytes }) => `${format} ${bytes}`).sort()
  expect(count(matrices)).toEqual(count([...stored].filter(([name]) => !name.includes('norm')).map(([, tensor]) => tensor)))
  const layer = contents.tensors.find(({ path }) => path === 'layers[1].attn.wv')!
  expect(layer.format).toBe(stored.get('blk.1.attn_v.weight')!.format)
}

test('any formats in any layers: WASM, one thread and two', async () => {
  await fc.assert(
    fc.asyncProperty(mixtures, async (mixture) => {
      const { file, stored } = mixedGguf(mixture)
      await withFile(file, async (path) => {
        const strict = await compileMixed(path, { targets: ['wasm'], math: 'strict' })
        expectKept(strict, stored)
        const wanted = await scoresOf(strict.open('reference'))
        const alone = await scoresOf(strict.open('wasm'))
        expect(worstDifference(alone, wanted)).toBeLessThanOrEqual(1e-4)
        expect(await scoresOf(strict.open('wasm', { threads: 2 }))).toEqual(alone)
      })
    }),
    { numRuns: 5 },
  )
})

test('more bits for some layers: WASM in fast math', async () => {
  const { file, stored } = mixedGguf(medium(8, 'q4_0', 'q8_0'))
  await withFile(file, async (path) => {
    const compiled = await compileMixed(path, { targets: ['wasm'], math: 'fast' })
    expectKept(compiled, stored)
    const { compilation, files, weight } = compiled
    // Activations are rounded where the final graph says so; few values are so near the middle that they fall to the other side.
    const rounded = createReferenceDevice(compilation.results[0]!.graphs, { weight, mode: 'typed' })
    const wanted = await scoresOf(load(memoryFiles(files), { device: rounded }))
    for (const threads of [1, 2]) {
      expect(worstDifference(await scoresOf(compiled.open('wasm', { threads })), wanted), `${threads} threads`).toBeLessThanOrEqual(0.01)
    }
  })
})

test('more bits for some layers: WebGPU', async () => {
  const { file, stored } = mixedGguf(medium(8, 'q4_1', 'f16'))
  await withFile(file, async (path) => {
    const compiled = await compileMixed(path, { targets: ['webgpu'], math: 'strict', entries: ['score'] })
    expectKept(compiled, stored)
    expect(
      worstDifference(await scoresOf(compiled.open('webgpu'), false), await scoresOf(compiled.open('reference'), false)),
    ).toBeLessThanOrEqual(1e-4)
  })
})
