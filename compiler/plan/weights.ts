// Decides how each weight is stored: layout from how kernels read it (kernel/weights.ts), format from the policy and the
// checkpoint. Weights of a part array (`layers[*].attn.wq`) are decided together, so that all instances share their kernels.

import type { WeightInfo } from '../../dsl/sink.ts'
import { fits, type FormatName, isFormatName, layoutBytes, type LayoutName, type QuantisedName } from '../formats/index.ts'
import type { KernelProgram } from '../kernel/program.ts'
import { mapKernels, type WeightLayout } from '../kernel/weights.ts'

export type QuantPolicy = 'none' | 'keep' | QuantisedName

export interface WeightPlan {
  readonly format: FormatName
  readonly layout: LayoutName
  readonly rows: number
  readonly k: number
  readonly bytes: number
}

/** `layers[3].attn.wq` → `layers[*].attn.wq` (the outermost array only). */
export const patternOf = (path: string): string => path.replace(/\[\d+\]/, '[*]')

/** Path of the weight that stores what `path` reads. Patterns with `[*]` pass through. */
export function canonicalPaths(weights: readonly WeightInfo[]): (path: string) => string {
  const ties = new Map(weights.flatMap((weight) => (weight.tied === undefined ? [] : [[weight.path, weight.tied] as const])))
  const canonical = (path: string): string => {
    const target = ties.get(path)
    return target === undefined ? path : canonical(target)
  }
  return canonical
}

/** The program with tied weights read where they are stored, so that all their uses count together. */
export function resolveTies(program: KernelProgram, canonical: (path: string) => string): KernelProgram {
  const steps = mapKernels(program.steps, (kernel) => ({
    ...kernel,
    operands: kernel.operands.map((operand) =>
      operand.source.kind === 'weight' ? { ...operand, source: { ...operand.source, path: canonical(operand.source.path) } } : operand,
    ),
  }))
  return { ...program, steps }
}

export interface WeightChoice {
  /** By pattern. */
  readonly plans: ReadonlyMap<string, WeightPlan>
  /** What was asked for and not done, with the reason. */
  readonly notes: readonly string[]
}

/**
 * Plans every weight that is stored. `stored` tells the checkpoint's format of a path (undefined: none yet).
 * Formats that do not divide a row, pinned weights and mixed formats within an array fall back to f32 with a note.
 */
export function planWeights(
  weights: readonly WeightInfo[],
  layouts: ReadonlyMap<string, WeightLayout>,
  policy: QuantPolicy,
  stored: (path: string) => string | undefined,
): WeightChoice {
  const plans = new Map<string, WeightPlan>()
  const notes: string[] = []
  const unasked = { declared: [] as string[], plain: [] as string[] }
  const owned = weights.filter((weight) => weight.tied === undefined)
  for (const [pattern, members] of Map.groupBy(owned, (weight) => patternOf(weight.path))) {
    const { dims, precision, quant } = members[0]!
    const elements = dims.reduce((product, dim) => product * dim, 1)
    // A weight that no entry reads is kept as it is declared.
    const { layout, rows, k } = layouts.get(pattern) ?? { layout: 'plain', rows: 1, k: elements }
    const choose = (): FormatName => {
      if (policy === 'none') return 'f32'
      if (precision === 'f32' || !quant || layout === 'plain') {
        unasked[precision === 'f32' || !quant ? 'declared' : 'plain'].push(pattern)
        return 'f32'
      }
      if (policy !== 'keep') {
        if (fits(policy, 'r8', k)) return policy
        notes.push(`${pattern}: a row has ${k} values, which ${policy} cannot cut into blocks; stored as f32`)
        return 'f32'
      }
      const formats = [...new Set(members.map((member) => stored(member.path) ?? 'f32'))]
      const [format] = formats
      if (formats.length === 1 && isFormatName(format!) && fits(format, 'r8', k)) return format
      notes.push(`${pattern}: the file has ${formats.join(', ')}, which cannot be kept for all of them; stored as f32`)
      return 'f32'
    }
    const format = choose()
    plans.set(pattern, { format, layout, rows, k, bytes: layoutBytes(format, layout, rows, k) })
  }
  if (policy !== 'none' && policy !== 'keep') {
    if (unasked.declared.length > 0) notes.push(`${unasked.declared.join(', ')}: f32, as the model declares`)
    if (unasked.plain.length > 0) notes.push(`${unasked.plain.join(', ')}: f32, since only rows of products are quantised`)
  }
  return { plans, notes }
}
