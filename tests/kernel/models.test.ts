// Whole models: the kernel programs of every entry of every Hugging Face golden model mean what the graphs mean, call after
// call through the states; and the layer of LLaMA is the eight steps that it should be.

import { describe, expect, it } from 'vitest'
import { goldenModels } from '../support/goldens.ts'
import type { Graph } from '../../compiler/graph/types.ts'
import { evaluateSteps } from '../../compiler/kernel/evaluate.ts'
import { printKernel } from '../../compiler/kernel/print.ts'
import { classify } from '../../compiler/kernel/shape.ts'
import { buildKernels, type KernelStep } from '../../compiler/kernel/steps.ts'
import { verifyProgram } from '../../compiler/kernel/verify.ts'
import { patternOf } from '../../compiler/graph/paths.ts'
import { analyseWeights, asMatrix, withWeights } from '../../compiler/kernel/weights.ts'
import { mergeSiblings } from '../../compiler/passes/merge-siblings.ts'
import { createReference } from '../../compiler/targets/reference/evaluate.ts'
import { evaluate } from '../../dsl/affine.ts'
import type { SpecialisedModel } from '../../dsl/model.ts'
import { load, numbered, readJson } from '../dsl/read-models.ts'
import { flatGraphs, RoundingBuilder } from './flat-graphs.ts'

const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1)

function weightsOf(model: SpecialisedModel): (path: string) => { dims: readonly number[]; data: Float64Array } {
  const known = new Map<string, { dims: readonly number[]; data: Float64Array }>()
  return (path) => {
    const found = known.get(path)
    if (found) return found
    const { dims } = model.weights.find((weight) => weight.path === path)!
    const seed = [...path].reduce((hash, char) => (hash * 31 + char.charCodeAt(0)) % 9973, 7)
    const made = { dims, data: Float64Array.from({ length: product(dims) }, (_, i) => Math.sin(seed + 1.7 * i + 0.013 * i * i) * 0.3) }
    known.set(path, made)
    return made
  }
}

/** Runs every entry in both ways, with `start` moving on from call to call. */
function agree(model: SpecialisedModel, graphs: readonly Graph[], calls: number): void {
  const weight = weightsOf(model)
  const reference = createReference(graphs, { weight })
  const states = new Map(model.states.map((state) => [state.path, new Float64Array(product(state.dims))] as const))
  let expectedStates: ReadonlyMap<string, Float64Array> = new Map()
  let start = 0
  for (let call = 0; call < calls; call++) {
    for (const graph of graphs) {
      const info = model.entries.find((entry) => entry.name === graph.entry)!
      const size = 3
      const binding = Object.fromEntries(
        info.symbols.map(({ name, kind }) => [name, kind === 'size' ? size : name === 'start' ? start : size]),
      )
      if (info.limits.some(({ left, right }) => evaluate(left, binding) > right)) continue
      const inputs = Object.fromEntries(
        info.arguments.flatMap((argument) =>
          argument.kind === 'index'
            ? []
            : [
                [
                  argument.name,
                  Float64Array.from({ length: product(argument.type.dims.map((dim) => evaluate(dim, binding))) }, (_, i) =>
                    argument.type.dtype === 'i32' ? (call * 5 + i * 3) % 2 : argument.type.dtype === 'bool' ? 1 : Math.sin(i),
                  ),
                ] as const,
              ],
        ),
      )
      const expected = reference.run(graph.entry, binding, inputs, expectedStates)
      expectedStates = expected.states
      const program = mergeSiblings(buildKernels(graph, { byteBlocks: 'a8' }))
      expect(verifyProgram(program)).toEqual([])
      const results = evaluateSteps(program, {
        binding,
        weight: (path) => weight(path).data,
        state: (path) => states.get(path)!,
        argument: (name) => inputs[name]!,
        constant: (id) => graph.constants.get(id)!.data,
      })
      expected.results.forEach((result, i) => close(results[i]!, result.data, `${graph.entry} result ${i}`))
      for (const [path, data] of expectedStates) close(states.get(path)!, data, `${graph.entry} ${path}`)
      if ('start' in binding) start += 'seq' in binding ? size : 1
    }
  }
}

function close(actual: Float64Array, expected: Float64Array, what: string): void {
  let scale = 1e-30
  for (const value of expected) scale = Math.max(scale, Math.abs(value))
  let worst = 0
  expected.forEach((value, i) => {
    worst = Math.max(worst, Math.abs(actual[i]! - value))
  })
  if (!(worst <= 1e-10 * scale) || actual.length !== expected.length) expect.fail(`${what}: off by ${worst} of ${scale}`)
}

describe('kernels of whole models', () => {
  it.each(Object.entries(goldenModels))('%s', (folder, name) => {
    const model = numbered(load(name), { config: { kind: 'hf', values: readJson(`hf-golden/${folder}/config.json`), file: 'config.json' } })
    agree(model, flatGraphs(model), 3)
  })

  it('mistral_ring, past the end of its window', () => {
    const model = numbered(load('mistral_ring'), {
      set: { vocab: '16', embed: '16', heads: '4', kv_heads: '2', ffn: '24', depth: '2', ctx: '64', window: '5' },
      maximum: { seq: 3 },
    })
    agree(model, flatGraphs(model), 4)
  })
})

const layerOf = (steps: readonly KernelStep[]): readonly KernelStep[] =>
  steps.flatMap((step) => (step.kind === 'loop' ? step.groups[0]! : []))

describe('quantised activations', () => {
  const model = numbered(load('llama'), { preset: 'tiny', set: { ffn: '128', embed: '128' }, maximum: { seq: 16 } })

  it('lie in blocks, made by the kernel before', () => {
    const steps = layerOf(mergeSiblings(buildKernels(flatGraphs(model, RoundingBuilder)[0]!, { byteBlocks: 'a8' })).steps)
    const blocks = steps.flatMap((step) =>
      step.kind === 'kernel' && step.kernel.operands.some((operand) => operand.access === 'write' && operand.format === 'a8')
        ? [classify(step.kernel)]
        : [],
    )
    expect(blocks).toEqual(['row', 'attend', 'row', 'contract'])
  })
  it('mean what the graph means', () => agree(model, flatGraphs(model, RoundingBuilder), 2))
})

describe('the tiny llama', () => {
  const model = numbered(load('llama'), { preset: 'tiny', maximum: { seq: 16 } })
  const graphs = flatGraphs(model)
  const programs = graphs.map((graph) => mergeSiblings(buildKernels(graph)))

  it('has eight steps a layer beside the tables of its angles', () => {
    for (const program of programs) {
      const steps = layerOf(program.steps).map((step) =>
        step.kind === 'launch' ? `launch ${step.kernels.map(classify).join(' ')}` : step.kind === 'kernel' ? classify(step.kernel) : 'loop',
      )
      expect(steps.filter((step) => !step.includes('map'))).toEqual([
        'row',
        'launch contract contract contract',
        'attend',
        'contract',
        'row',
        'contract',
        'contract',
      ])
    }
  })

  it('rotates keys by two dots on their way into the cache', () => {
    const launch = layerOf(programs[0]!.steps).find((step) => step.kind === 'launch' && classify(step.kernels[0]!) === 'contract')
    const text = launch?.kind === 'launch' ? printKernel(launch.kernels[0]!).split('\n').slice(6) : []
    expect(text).toEqual([
      '  %0[i0, i1, i2_1] = sum[k0] (@0[i0, k0] * @1[i1, i2_1, k0])',
      '  %1[i0, i1, i2_1] = sum[k0] (@0[i0, k0] * @1[i1, i2_1 + 8, k0])',
      '  @4[$start + i0, i1, i2_1] = ((%0 * @2[i0, i2_1]) + (neg(%1) * @3[i0, i2_1]))',
      '  @4[$start + i0, i1, i2_1 + 8] = ((%1 * @2[i0, i2_1]) + (%0 * @3[i0, i2_1]))',
    ])
  })

  it('packs all its matrices into rows', () => {
    const layouts = analyseWeights(programs)
    const dimsOf = new Map(model.weights.map(({ path, dims }) => [patternOf(path), dims]))
    const packed = [...layouts].flatMap(([pattern, { layout, rowDims }]) => {
      const { rows, k } = asMatrix(dimsOf.get(pattern)!, rowDims)
      return layout === 'r8' ? [`${pattern} ${rows}x${k}`] : []
    })
    expect(packed.sort()).toEqual([
      'embedding 256x64',
      'layers[*].attn.wk 32x64',
      'layers[*].attn.wo 64x64',
      'layers[*].attn.wq 64x64',
      'layers[*].attn.wv 32x64',
      'layers[*].mlp.down 64x172',
      'layers[*].mlp.gate 172x64',
      'layers[*].mlp.up 172x64',
      'lm_head 256x64',
    ])
    for (const program of programs) expect(verifyProgram(withWeights(program, layouts, () => 'f32'))).toEqual([])
  })
})
