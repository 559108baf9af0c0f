// What a decoded token of LLaMA 7B with 4-bit weights reads on WebGPU, from the plan: the bytes of weights and caches that each dispatch
// touches, each once a dispatch. A token cannot read less than all of them once.

import { expect, test } from 'vitest'
import { fitForCalls } from '../../compiler/call-size.ts'
import { planGraphs } from '../../compiler/compile.ts'
import { buildGraph } from '../../compiler/graph/builder.ts'
import { type KernelStep, sourceKey } from '../../compiler/kernel/program.ts'
import { packageSources } from '../../compiler/package-sources.ts'
import { weightSize } from '../../compiler/passes/split-weights.ts'
import { type DispatchPart, dispatcher } from '../../compiler/targets/webgpu/dispatches.ts'
import { loadModel } from '../../dsl/index.ts'

test('at most 1.05 times the weights and caches', () => {
  const model = fitForCalls(loadModel('models/llama.dsl', packageSources()).model!, { preset: '7B' }, {}).model!
  const graphs = model.entries.map(({ name }) => buildGraph(model, name).graph!)
  const { layout, targets } = planGraphs(model, graphs, { targets: ['webgpu'], quant: 'q4_0' })
  const { entries, functions } = targets[0]!.plan!
  const { program } = entries.find(({ info }) => info.name === 'decode')!
  const partsOf = dispatcher(functions)

  const bytesOf = ({ kernels }: DispatchPart, path: (text: string) => string): number => {
    const touched = new Map<string, number>()
    for (const operand of kernels.flatMap(({ operands }) => operands)) {
      const { source, access } = operand
      // What is written to a cache is a row.
      if (source.kind === 'state' && access !== 'write')
        touched.set(sourceKey(source), layout.states[layout.state(path(source.path))]!.bytes)
      if (source.kind !== 'weight') continue
      const { bytes, perRow } = weightSize(operand)
      touched.set(sourceKey(source), source.rows ? (source.rows[1] - source.rows[0]) * perRow : bytes)
    }
    return [...touched.values()].reduce((a, b) => a + b, 0)
  }
  const walk = (steps: readonly KernelStep[], instance: number): number =>
    steps.reduce(
      (sum, step) =>
        sum +
        (step.kind === 'loop'
          ? step.order.reduce((all, group, i) => all + walk(step.groups[group]!, i), 0)
          : partsOf(step).reduce((all, part) => all + bytesOf(part, (text) => text.replace('[*]', `[${instance}]`)), 0)),
      0,
    )
  const weights = layout.tensors.reduce((sum, { path, bytes }) => sum + (path.startsWith('table:') ? 0 : bytes), 0)
  const floor = weights + layout.stateBytes
  const read = walk(program.steps, 0)
  expect(read).toBeGreaterThan(0.95 * floor)
  expect(read).toBeLessThanOrEqual(1.05 * floor)
})
