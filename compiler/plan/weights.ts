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
 * What is stored where a row is no whole number of blocks: smaller blocks with about as many bits, as llama.cpp's quantiser has it;
 * without a row here, or where these do not fit either, f16.
 */
const smallerBlocks: Partial<Readonly<Record<FormatName, FormatName>>> = { q4_k: 'q5_0', q5_k: 'q5_1', q6_k: 'q8_0' }

/** The format for rows of `k` values that were to be `wanted`; halves stay the halves that they are. */
function fittingFormat(wanted: FormatName, k: number, stored: string | undefined): FormatName {
  const smaller = smallerBlocks[wanted]
  if (smaller && fits(smaller, 'r8', k)) return smaller
  return stored === 'bf16' ? 'bf16' : 'f16'
}

const isQuantised = (format: string | undefined): boolean => format !== undefined && isFormatName(format) && formats[format].values > 1

interface Remark {
  readonly path: string
  readonly text: string
}

/**
 * Plans every weight that is stored. `stored` tells the checkpoint's format of a path (undefined: none yet).
 * Weights that the model pins are stored as f32, those whose rows a format does not divide in one that fits (f32 if nobody asked
 * for another than the checkpoint's); what that changes is in the notes, and which weights are quantised a second time.
 */
export function planWeights(
  weights: readonly WeightInfo[],
  layouts: ReadonlyMap<string, WeightLayout>,
  policyFor: (path: string) => QuantPolicy,
  stored: (path: string) => string | undefined,
): WeightChoice {
  const plans = new Map<string, WeightPlan>()
  /** Paths by what is said of them, in the order in which it comes up. */
  const remarks = new Map<string, string[]>()
  const unasked = { declared: [] as string[], plain: [] as string[] }
  /** Weights that were rounded before, by what they were and become: these two. */
  const again = new Map<string, number>()
  const owned = weights.filter((weight) => weight.tied === undefined)
  for (const [pattern, members] of Map.groupBy(owned, (weight) => patternOf(weight.path))) {
    const refused: Remark[] = []
    const pinned: { readonly path: string; readonly by: keyof typeof unasked }[] = []
    for (const { path, dims, precision, quant } of members) {
      const policy = policyFor(path)
      // A weight that no entry reads is kept as it is declared.
      const { layout, rowDims } = layouts.get(pattern) ?? { layout: 'plain', rowDims: 0 }
      const { rows, k } = asMatrix(dims, rowDims)
      const source = stored(path)
      const wanted = policy === 'keep' ? (source ?? 'f32') : policy === 'none' ? 'f32' : policy
      const by = precision === 'f32' || !quant ? 'declared' : layout === 'plain' ? 'plain' : undefined
      const choose = (): FormatName => {
        if (!isFormatName(wanted)) {
          refused.push({ path, text: `${wanted} is no format that weights are stored in; stored as f32` })
          return 'f32'
        }
        if (by === undefined && fits(wanted, 'r8', k)) return wanted
        // Halves that become floats are not worth a word unless somebody asked for them.
        if (by !== undefined && wanted !== 'f32' && (policy !== 'keep' || formats[wanted].values > 1)) pinned.push({ path, by })
        if (by !== undefined) return 'f32'
        const instead = policy === 'keep' ? 'f32' : fittingFormat(wanted, k, source)
        refused.push({ path, text: `a row has ${k} values, which ${wanted} cannot cut into blocks; stored as ${instead}` })
        return instead
      }
      const format = choose()
      plans.set(path, { format, layout, rows, k, bytes: layoutBytes(format, layout, rows, k) })
      if (policy !== 'keep' && isQuantised(source) && isQuantised(format) && source !== format) {
        const both = `${source} as ${format}`
        again.set(both, (again.get(both) ?? 0) + 1)
      }
    }
    const named = (some: readonly { readonly path: string }[]): readonly string[] =>
      some.length === members.length ? [pattern] : some.map(({ path }) => path)
    for (const [text, some] of Map.groupBy(refused, (each) => each.text)) {
      remarks.set(text, [...(remarks.get(text) ?? []), ...named(some)])
    }
    for (const [by, some] of Map.groupBy(pinned, (each) => each.by)) unasked[by].push(...named(some))
  }
  const notes = [...remarks].map(([text, paths]) => `${paths.join(', ')}: ${text}`)
  if (unasked.declared.length > 0) notes.push(`${unasked.declared.join(', ')}: f32, as the model declares`)
  if (unasked.plain.length > 0) notes.push(`${unasked.plain.join(', ')}: f32, since only rows of products are quantised`)
  if (again.size > 0) {
    const kinds = [...again].map(([both, count]) => `${both} (${count} weight${count === 1 ? '' : 's'})`).join(', ')
    notes.push(
      `quantised a second time: ${kinds}; what the file's own rounding took stays lost, so a file in f16, bf16 or f32 gives better`,
    )
  }
  return { plans, notes }
}
