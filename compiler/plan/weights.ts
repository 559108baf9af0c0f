// Decides how each weight is stored: layout from how kernels read it (kernel/weights.ts), format from the policy and the
// checkpoint. A part array's weights (`layers[*].attn.wq`) have one layout and a format each: instances whose formats differ run
// other kernels (passes/split-groups.ts).

import type { WeightInfo } from '../../dsl/sink.ts'
import { fits, formats, type FormatName, isFormatName, layoutBytes, type LayoutName } from '../formats/index.ts'
import { patternOf } from '../graph/paths.ts'
import type { KernelProgram } from '../kernel/program.ts'
import { asMatrix, mapKernels, type WeightLayout } from '../kernel/weights.ts'
import type { QuantPolicy } from './quant-policy.ts'

export interface WeightPlan {
  readonly format: FormatName
  readonly layout: LayoutName
  readonly rows: number
  readonly k: number
  readonly bytes: number
}

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
  /** By concrete path. */
  readonly plans: ReadonlyMap<string, WeightPlan>
  /** What was asked for and not done, with the reason. */
  readonly notes: readonly string[]
}

/**
 * Plans every weight that is stored. `stored` tells the checkpoint's format of a path (undefined: none yet).
 * Weights that the model pins and rows that a format does not divide are stored as f32; what that changes is in the notes.
 */
export function planWeights(
  weights: readonly WeightInfo[],
  layouts: ReadonlyMap<string, WeightLayout>,
  policyFor: (path: string) => QuantPolicy,
  stored: (path: string) => string | undefined,
): WeightChoice {
  const plans = new Map<string, WeightPlan>()
  const notes: string[] = []
  const unasked = { declared: [] as string[], plain: [] as string[] }
  const owned = weights.filter((weight) => weight.tied === undefined)
  for (const [pattern, members] of Map.groupBy(owned, (weight) => patternOf(weight.path))) {
    const refused: { readonly path: string; readonly reason: string }[] = []
    const pinned: { readonly path: string; readonly by: keyof typeof unasked }[] = []
    for (const { path, dims, precision, quant } of members) {
      const policy = policyFor(path)
      // A weight that no entry reads is kept as it is declared.
      const { layout, rowDims } = layouts.get(pattern) ?? { layout: 'plain', rowDims: 0 }
      const { rows, k } = asMatrix(dims, rowDims)
      const wanted = policy === 'keep' ? (stored(path) ?? 'f32') : policy === 'none' ? 'f32' : policy
      const by = precision === 'f32' || !quant ? 'declared' : layout === 'plain' ? 'plain' : undefined
      const choose = (): FormatName => {
        if (!isFormatName(wanted)) {
          refused.push({ path, reason: `${wanted} is no format that weights are stored in` })
          return 'f32'
        }
        if (by === undefined && fits(wanted, 'r8', k)) return wanted
        // Halves that become floats are not worth a word unless somebody asked for them.
        if (by !== undefined && wanted !== 'f32' && (policy !== 'keep' || formats[wanted].values > 1)) pinned.push({ path, by })
        if (by === undefined) refused.push({ path, reason: `a row has ${k} values, which ${wanted} cannot cut into blocks` })
        return 'f32'
      }
      const format = choose()
      plans.set(path, { format, layout, rows, k, bytes: layoutBytes(format, layout, rows, k) })
    }
    const named = (some: readonly { readonly path: string }[]): readonly string[] =>
      some.length === members.length ? [pattern] : some.map(({ path }) => path)
    for (const [reason, some] of Map.groupBy(refused, (each) => each.reason)) {
      notes.push(`${named(some).join(', ')}: ${reason}; stored as f32`)
    }
    for (const [by, some] of Map.groupBy(pinned, (each) => each.by)) unasked[by].push(...named(some))
  }
  if (unasked.declared.length > 0) notes.push(`${unasked.declared.join(', ')}: f32, as the model declares`)
  if (unasked.plain.length > 0) notes.push(`${unasked.plain.join(', ')}: f32, since only rows of products are quantised`)
  return { plans, notes }
}
