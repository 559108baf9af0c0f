// One kernel of packed weights on the machine of workgroups, with short tiles: its plan, its loops, and what they compute on the loop
// evaluator beside the reference.

import { expect } from 'vitest'
import { tensorBytes } from '../../compiler/artifact/contents.ts'
import { planGraphs } from '../../compiler/compile.ts'
import type { FormatName } from '../../compiler/formats/index.ts'
import type { GraphBuilder } from '../../compiler/graph/builder.ts'
import type { Node } from '../../compiler/graph/types.ts'
import { kernelsOf } from '../../compiler/kernel/weights.ts'
import type { LoopFunction } from '../../compiler/schedule/loops.ts'
import { type Machine, webgpuMachine } from '../../compiler/schedule/machine.ts'
import type { Activations } from '../../compiler/targets/index.ts'
import { createReference } from '../../compiler/targets/reference/evaluate.ts'
import { constant } from '../../dsl/affine.ts'
import { builtEntry, builtGraph, builtModel, builtWeight, builtWeights, span, weightData } from './built-model.ts'
import { runPlannedLoops } from './planned-loops.ts'
import { randomBlocks } from './random-blocks.ts'

export const argument = (b: GraphBuilder, name: string, ...dims: number[]): Node =>
  b.argument(name, { dtype: 'f32', dims: dims.map(constant) }, span)

/** Numbers in 0 … 1. */
export const generator = (seed: number) => {
  let state = seed | 1
  return (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state >>> 8) / 2 ** 24
  }
}

/** Rows of packed weights: dims but for the last are its rows. */
export interface Weight {
  readonly path: string
  readonly dims: readonly number[]
}

interface Stored {
  readonly weights: readonly Weight[]
  readonly format: FormatName
  readonly seed: number
  readonly activations?: Activations
}

/** What is made of arguments and weights, planned; arguments of floats are random. */
export function plannedContract(
  form: (b: GraphBuilder) => Node,
  { weights, format, seed, activations = 'f32' }: Stored,
  machine: Partial<Machine>,
  given: Readonly<Record<string, ArrayLike<number>>> = {},
) {
  const random = generator(seed)
  const stored = weights.map(({ path, dims }) => {
    const rows = dims.slice(0, -1).reduce((product, dim) => product * dim, 1)
    const { bytes, values } = randomBlocks(format, rows, dims.at(-1)!, random)
    return builtWeight(path, dims, values, { format, bytes })
  })
  const entry = builtEntry('contract', (b) => [form(b)], { weights: stored })
  const machines = { webgpu: { ...webgpuMachine, shortestTile: 2, ...machine } }
  const options = {
    targets: ['webgpu'] as const,
    machines,
    quant: 'keep' as const,
    activations,
    weights: builtWeights([entry]),
    verify: true,
  }
  const made = planGraphs(builtModel([entry]), [builtGraph(entry)], options)
  const plan = made.targets[0]!.plan!
  const kernels = kernelsOf(plan.entries[0]!.program.steps)
  const fns = kernels.map(({ name }) => plan.functions.get(name)!)
  const inputs = Object.fromEntries(
    entry.info.arguments.map((each): [string, ArrayLike<number>] => {
      const size = each.kind === 'tensor' ? each.type.dims.reduce((count, dim) => count * dim.const, 1) : 1
      return [each.name, given[each.name] ?? Float32Array.from({ length: size }, () => 2 * random() - 1)]
    }),
  )
  return { entry, graphs: made.targets[0]!.graphs, plan, kernels, fns, inputs, tensors: made.tensors }
}

/** No product is larger than the sum of what its factors may be: of this every element must be within a part, a millionth if left out. */
export function checkContract({ entry, graphs, plan, inputs, tensors }: ReturnType<typeof plannedContract>, k: number, part = 1e-6): void {
  const words = tensors.map((tensor) => {
    const bytes = tensorBytes(tensor)
    return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  })
  const none = (): Int32Array => expect.fail('there is none')
  const [got] = runPlannedLoops(plan, plan.entries[0]!, { tensor: (i) => words[i]!, state: none }, {}, inputs)
  const reference = createReference(graphs, { weight: (path) => ({ dims: [], data: weightData(entry, path) }), mode: 'typed' })
  const wanted = reference.run('contract', {}, inputs).results[0]!.data
  const most = Math.max(1e-6, ...entry.weights.map(({ data }) => data.reduce((sum, value) => Math.max(sum, Math.abs(value)), 0)))
  for (const [i, value] of wanted.entries()) expect(Math.abs(got![i]! - value), `element ${i}`).toBeLessThan(part * 2 * k * most)
}

/** Tokens of a tile, or undefined for another schedule. */
export const tileOf = ({ grid }: LoopFunction): number | undefined => {
  const divisor = grid[1]?.[0]?.divisor ?? 1
  return divisor >= 8 ? divisor : undefined
}
