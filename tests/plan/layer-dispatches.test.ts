// What every model of models/ and examples/ becomes on WebGPU with 4-bit weights: the dispatches of a layer, and in each the kernels that
// share it. The golden is for reading; below it is what must hold of it.

import { beforeAll, describe, expect, it } from 'vitest'
import { classify } from '../../compiler/kernel/shape.ts'
import type { Plan } from '../../compiler/plan/plan.ts'
import { type DispatchPart, dispatcher } from '../../compiler/targets/webgpu/dispatches.ts'
import { modelFiles, planOf } from '../support/short-plans.ts'

interface Layer {
  readonly entry: string
  readonly array: string
  /** Without those of further parts of weights that were cut for their size. */
  readonly count: number
  readonly dispatches: readonly (readonly string[])[]
}

const isFurtherPart = ({ kernels }: DispatchPart): boolean =>
  kernels.some(({ operands }) => operands.some(({ source }) => source.kind === 'weight' && (source.rows?.[0] ?? 0) > 0))

function layersOf({ entries, functions }: Plan): Layer[] {
  const partsOf = dispatcher(functions)
  return entries.flatMap(({ info, program }) =>
    program.steps.flatMap((step) =>
      step.kind !== 'loop'
        ? []
        : step.groups.map((group): Layer => {
            const parts = group.flatMap((each) => (each.kind === 'loop' ? [] : partsOf(each)))
            const dispatches = parts.map(({ kernels }) => kernels.map(classify))
            return { entry: info.name, array: step.array, count: parts.filter((part) => !isFurtherPart(part)).length, dispatches }
          }),
    ),
  )
}

const layers = new Map<string, readonly Layer[]>()
beforeAll(() => {
  for (const file of modelFiles) layers.set(file, layersOf(planOf(file, { targets: ['webgpu'], quant: 'q4_0' })))
}, 120_000)

describe('the dispatches of a layer', () => {
  it('are these', async () => {
    const lines = [...layers].flatMap(([file, list]) =>
      list.map(
        ({ entry, array, dispatches }) =>
          `${file} ${entry}, ${array}: ${dispatches.length} dispatches: ${dispatches.map((kernels) => kernels.join(' + ')).join(' | ')}`,
      ),
    )
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('../golden/layer-dispatches.txt')
  })

  it.each(modelFiles)('%s: as few as kernels that wait for each other', (file) => {
    for (const { entry, count, dispatches } of layers.get(file)!) {
      const attentions = dispatches.flat().filter((shape) => shape === 'attend').length
      // Attention over another sequence has a query, itself and its output on top; a choice of experts has its scores, the choice, and two products.
      expect(count, entry).toBeLessThanOrEqual(11 + 5 * Math.max(0, attentions - 1))
    }
  })

  it('LLaMA has at most 8', () => {
    for (const { count } of layers.get('models/llama')!) expect(count).toBeLessThanOrEqual(8)
  })
})
