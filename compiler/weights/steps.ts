// The pipeline of one binding, from stored tensors to one target: each source goes through the steps, then sources are stacked.
// (So in `stack(e < experts, …) |> transpose` every expert's matrix is transposed.) `chunk` is the one step that looks at the
// other targets: each takes as many rows as its own weight needs.

import type { BindingStep } from '../../dsl/model.ts'
import { chunk, joinTensors, mapValues, product, ropeRows, toF32, transpose, Unfit, type PlainTensor } from './plain-tensor.ts'

export interface StepContext {
  /** Elements that each target of the binding wants, per source; the one that is made is `target`. */
  readonly elements: readonly number[]
  readonly target: number
  /** A further tensor of the file, for `join`. */
  find(name: string): PlainTensor | Unfit
}

type Apply = (tensor: PlainTensor, step: never, context: StepContext) => PlainTensor | Unfit

const steps: {
  readonly [K in BindingStep['op']]: (
    tensor: PlainTensor,
    step: Extract<BindingStep, { op: K }>,
    context: StepContext,
  ) => PlainTensor | Unfit
} = {
  transpose: (tensor) => transpose(tensor),
  rope_rows: (tensor, { heads, from, to }) => ropeRows(tensor, heads, from, to),
  add: (tensor, { value }) => mapValues(tensor, (x) => x + value),
  scale: (tensor, { value }) => mapValues(tensor, (x) => x * value),
  cast: (tensor) => toF32(tensor),
  chunk: applyChunk,
  join(tensor, { names }, context) {
    const parts = [tensor]
    for (const name of names) {
      const part = context.find(name)
      if (part instanceof Unfit) return part
      parts.push(part)
    }
    return joinTensors(parts, false)
  },
}

const rowsText = (rows: number): string => `${Number.isInteger(rows) ? rows : rows.toFixed(2)}`

function applyChunk(
  tensor: PlainTensor,
  step: Extract<BindingStep, { op: 'chunk' }>,
  { elements, target }: StepContext,
): PlainTensor | Unfit {
  if (step.count !== undefined && step.count !== elements.length) {
    return new Unfit(`chunk(${step.count}) stands before ${elements.length} weights`)
  }
  const width = product(tensor.dims.slice(1))
  const rows = elements.map((count) => count / width)
  if (rows.some((count) => !Number.isInteger(count)) || rows.reduce((sum, count) => sum + count, 0) !== tensor.dims[0]) {
    return new Unfit(
      `${tensor.dims[0]} rows of ${width} cannot be cut into ${elements.map((count) => rowsText(count / width)).join(' + ')} rows`,
      true,
    )
  }
  const before = rows.slice(0, target).reduce((sum, count) => sum + count, 0)
  return chunk(tensor, before, rows[target]!, step.groups ?? 1)
}

/** Runs the steps on one source. */
export function applySteps(tensor: PlainTensor, pipeline: readonly BindingStep[], context: StepContext): PlainTensor | Unfit {
  let current = tensor
  for (const step of pipeline) {
    const next = (steps[step.op] as Apply)(current, step as never, context)
    if (next instanceof Unfit) return new Unfit(`\`${step.op}\`: ${next.why}`, next.sizes)
    current = next
  }
  return current
}
