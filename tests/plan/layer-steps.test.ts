// What every model of models/ and examples/ becomes on WASM with 8-bit weights: the kernels of a layer in order, how threads share
// each, where they meet, and what is done one number at a time. The golden is for reading; below it is what must hold of it.

import { beforeAll, describe, expect, it } from 'vitest'
import { launchesOf } from '../../compiler/kernel/launches.ts'
import { classify } from '../../compiler/kernel/shape.ts'
import { kernelsOf } from '../../compiler/kernel/weights.ts'
import type { EntryPlan, Plan } from '../../compiler/plan/plan.ts'
import { joinOf } from '../../compiler/plan/share.ts'
import { partsOf } from '../../compiler/schedule/loops.ts'
import { modelFiles as files, planOf } from '../support/short-plans.ts'
import { floatWork } from '../support/scalar-work.ts'

const options = { targets: ['wasm'], math: 'fast', quant: 'q8_0' } as const

interface LayerSteps {
  readonly array: string
  /** Where all threads meet, in one round of the loop. */
  readonly meetings: number
  readonly attentions: number
  /** Kernels that only one thread runs, but for scatters: their places are data. */
  readonly alone: readonly string[]
  readonly text: string
}

interface EntrySteps {
  readonly entry: string
  readonly layers: readonly LayerSteps[]
  /** Of the entry's operations on floats. */
  readonly scalarShare: number
}

function layersOf({ program, shares, barriers }: EntryPlan, { functions }: Plan): LayerSteps[] {
  return program.steps.flatMap((step) =>
    step.kind !== 'loop'
      ? []
      : step.groups.map((group): LayerSteps => {
          const kernels = kernelsOf(group)
          const parts = kernels.flatMap((kernel) => [
            { name: kernel.name, what: classify(kernel) },
            ...(functions.get(kernel.name)!.join ? [{ name: joinOf(kernel.name), what: 'join' }] : []),
          ])
          const words = parts.map(({ name, what }) => `${barriers.has(name) ? '| ' : ''}${shares.get(name)} ${what}`)
          return {
            array: step.array,
            meetings: parts.filter(({ name }) => barriers.has(name)).length,
            attentions: kernels.filter((kernel) => classify(kernel) === 'attend').length,
            alone: parts.flatMap(({ name }) => (shares.get(name) === 'one' && !name.endsWith('scatter') ? [name] : [])),
            text: words.join(', ').replaceAll(', | ', ' | '),
          }
        }),
  )
}

function stepsOf(plan: Plan): EntrySteps[] {
  return plan.entries.flatMap((entry) => {
    if (entry.info.name === 'score') return []
    const binding = Object.fromEntries(entry.info.symbols.map(({ name, kind }) => [name, kind === 'size' ? 32 : 16]))
    const works = launchesOf(entry.program).flatMap(({ kernel }) =>
      partsOf(plan.functions.get(kernel.name)!).map((part) => floatWork(part, binding)),
    )
    const [scalar, vector] = [works.reduce((sum, one) => sum + one.scalar, 0), works.reduce((sum, one) => sum + one.vector, 0)]
    return [{ entry: entry.info.name, layers: layersOf(entry, plan), scalarShare: scalar / (scalar + vector) }]
  })
}

const steps = new Map<string, readonly EntrySteps[]>()
beforeAll(() => {
  for (const file of files) steps.set(file, stepsOf(planOf(file, options)))
}, 120_000)

describe('the steps of a layer', () => {
  it('are these', async () => {
    const lines = [...steps].flatMap(([file, entries]) =>
      entries.flatMap(({ entry, layers, scalarShare }) => [
        `${file} ${entry}: ${(100 * scalarShare).toFixed(1)} % one by one`,
        ...layers.map(({ array, meetings, text }) => `  ${array}, ${meetings} meetings: ${text}`),
      ]),
    )
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('../golden/layer-steps.txt')
  })

  it.each(files)('%s: few meetings, nothing for one thread alone, vectors', (file) => {
    for (const { entry, layers, scalarShare } of steps.get(file)!) {
      // A ring cache is copied element by element; elsewhere it is embedding rows.
      expect(scalarShare, entry).toBeLessThan(file.endsWith('_ring') ? 0.1 : 0.01)
      if (entry !== 'decode') continue
      for (const { meetings, attentions, alone } of layers) {
        // Attention over another sequence has a query, itself and its output on top.
        expect(meetings).toBeLessThanOrEqual(6 + 3 * Math.max(0, attentions - 1))
        expect(alone).toEqual([])
      }
    }
  })

  it('keep to packed rows where the halves of a head are no multiple of four rows', () => {
    const entries = stepsOf(planOf('models/llama', options, { embed: '400', heads: '4', ffn: '1088' }))
    for (const { scalarShare } of entries) expect(scalarShare).toBeLessThan(0.01)
  })
})
