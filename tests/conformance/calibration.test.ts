// What a text tells about weights: the squares of what meets each column, from the graph of any architecture, against the hidden
// values that the reference gives by path, and against a law for experts.

import { expect, test } from 'vitest'
import { meanSquares, observedModel } from '../../cli/measure/calibrate.ts'
import { fitModel } from '../../compiler/fit.ts'
import { nodeFiles, openCheckpoint } from '../../compiler/weights/index.ts'
import { compileForTest } from '../support/compiled.ts'
import { dataPath } from '../support/goldens.ts'
import { load as loadFile } from '../dsl/read-models.ts'

const ids = [5, 7, 9, 33, 60, 2, 41]

async function calibrated(model: string, checkpoint: string) {
  const opened = openCheckpoint(dataPath(`hf-golden/${checkpoint}`), nodeFiles)
  // Three tokens a call: sums run over calls.
  const fitted = fitModel(loadFile(model), { config: opened.config!, maximum: { seq: 3 } }, { checkpoint: opened })
  await using observed = await observedModel(fitted.model!, { weights: fitted.weights! })
  return { importance: await meanSquares(observed, ids), weights: fitted.model!.weights }
}

/** Means of squares over tokens, a number a column, of values that the reference gives. */
async function referenceSquares(model: string, checkpoint: string, paths: readonly string[]): Promise<Map<string, number[]>> {
  const compiled = await compileForTest({ model, checkpoint: `hf-golden/${checkpoint}`, targets: ['reference'], taps: paths })
  await using opened = await compiled.open('reference')
  const results = await opened.createSession().call('score', { tokens: ids })
  return new Map(
    results.flatMap(({ name, dims, values }) => {
      if (name === undefined) return []
      const columns = dims.slice(1).reduce((product, dim) => product * dim, 1)
      const sums = Array.from(
        { length: columns },
        (_, k) => ids.reduce((sum, _id, i) => sum + values[i * columns + k]! ** 2, 0) / ids.length,
      )
      return [[name, sums] as const]
    }),
  )
}

const expectClose = (found: ArrayLike<number>, wanted: readonly number[], what: string): void => {
  const size = Math.max(...wanted)
  expect(found.length, what).toBe(wanted.length)
  wanted.forEach((value, i) => expect(Math.abs(found[i]! - value) / size, `${what}, column ${i}`).toBeLessThan(1e-5))
}

/** Weights by the path of the value that they are multiplied with; in every layer for paths in layers. */
const inputs: Readonly<Record<string, Inputs>> = {
  llama: ['llama', { attn_norm: ['attn.wq', 'attn.wk', 'attn.wv'], mlp_norm: ['mlp.gate', 'mlp.up'] }, { out_norm: 'lm_head' }],
  gpt2: ['gpt2', { ln1: ['attn.wq', 'attn.wk', 'attn.wv'], ln2: ['mlp.w1'] }, { out_norm: 'tokens_table' }],
  gemma: ['gemma', { attn_norm: ['attn.wq', 'attn.wk', 'attn.wv'], mlp_norm: ['mlp.gate', 'mlp.up'] }, { out_norm: 'embedding' }],
  mixtral: ['mixtral', { attn_norm: ['attn.wq', 'attn.wk', 'attn.wv'], mlp_norm: ['mlp.router'] }, { out_norm: 'lm_head' }],
}
type Inputs = readonly [checkpoint: string, layers: Readonly<Record<string, readonly string[]>>, outer: Readonly<Record<string, string>>]

test.each(Object.entries(inputs))(
  '%s: the squares are those of the reference, layer by layer',
  async (model, [checkpoint, layers, outer]) => {
    const { importance, weights } = await calibrated(model, checkpoint)
    const paths = [...Object.keys(layers).map((name) => `layers.*.${name}`), ...Object.keys(outer)]
    const squares = await referenceSquares(model, checkpoint, paths)
    expect(squares.size).toBeGreaterThan(2)
    for (const [path, wanted] of squares) {
      const [, layer, name] = /^layers\.(\d+)\.(.+)$/.exec(path) ?? []
      const own: readonly string[] =
        layer === undefined
          ? [outer[path as keyof typeof outer]]
          : layers[name as keyof typeof layers].map((weight) => `layers[${layer}].${weight}`)
      for (const weight of own) expectClose(importance.get(weight)!.values, wanted, weight)
    }
    // Every matrix of a layer is there, and has its columns; biases of several axes are no matrices.
    const matrices = weights.filter(({ path, dims }) => dims.length > 1 && /^layers.*\.[^b.]\w*$/.test(path))
    for (const { path, dims } of matrices) {
      const { columns, values } = importance.get(path)!
      expect(dims.slice(1).reduce((product, dim) => product * dim, 1) % columns, path).toBe(0)
      expect(values.length % columns, path).toBe(0)
    }
  },
)

test('experts: each has the squares of the tokens that chose it, together those of all choices', async () => {
  const { importance, weights } = await calibrated('mixtral', 'mixtral')
  const squares = await referenceSquares('mixtral', 'mixtral', ['layers.*.mlp_norm'])
  const experts = weights.find(({ path }) => path === 'layers[0].mlp.gate')!.dims[0]!
  for (const [path, wanted] of squares) {
    const layer = /\d+/.exec(path)![0]
    const { columns, values } = importance.get(`layers[${layer}].mlp.gate`)!
    expect(values.length).toBe(experts * columns)
    const together = wanted.map(
      (_, k) => Array.from({ length: experts }, (_, e) => values[e * columns + k]!).reduce((a, b) => a + b, 0) / 2,
    )
    expectClose(together, wanted, path)
    const shares = Array.from({ length: experts }, (_, e) => values.slice(e * columns, (e + 1) * columns).join())
    expect(new Set(shares).size, 'experts that differ').toBeGreaterThan(1)
    expect(importance.get(`layers[${layer}].mlp.down`)!.values.length).toBe(experts * importance.get(`layers[${layer}].mlp.down`)!.columns)
  }
})
