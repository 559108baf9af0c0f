// Decides how each weight is stored: layout and matrix shape from how kernels read it, format from the policy and the checkpoint.
// A weight that every dot contracts over exactly its trailing dims is a packed matrix (r8); any other is plain f32.
// Weights of a part array (`layers[*].attn.wq`) are decided together, so that all instances share their kernels.

import type { WeightInfo } from '../../dsl/sink.ts'
import { fits, type FormatName, isFormatName, layoutBytes, type LayoutName } from '../formats/index.ts'
import type { Kernel, Expr, Operand } from '../kernel/types.ts'
import type { KernelProgram, KernelStep } from '../kernel/steps.ts'

export type QuantPolicy = 'none' | 'keep' | 'q8_0' | 'q4_0' | 'q4_1'

export interface WeightPlan {
  readonly format: FormatName
  readonly layout: LayoutName
  readonly rows: number
  readonly k: number
  readonly bytes: number
}

/** Every kernel of a list of steps, loop bodies included. */
export function* kernelsOf(steps: readonly KernelStep[]): Generator<Kernel> {
  for (const step of steps) {
    if (step.kind === 'kernel') yield step.kernel
    else if (step.kind === 'launch') yield* step.kernels
    else for (const group of step.groups) yield* kernelsOf(group)
  }
}

/** `layers[3].attn.wq` → `layers[*].attn.wq` (the outermost array only). */
export const patternOf = (path: string): string => path.replace(/\[\d+\]/, '[*]')

/** The number of trailing dims that a use contracts; 0 for a use by rows, undefined for one that needs the plain layout. */
function trailing(operand: Operand, load: Extract<Expr, { kind: 'load' }>, over: readonly string[]): number | undefined {
  const reduced = load.index.map((index) => index.kind === 'axis' && over.includes(index.axis))
  const count = reduced.filter(Boolean).length
  if (count === 0) return 0
  const tail = load.index.slice(-count)
  const inOrder = tail.every((index, i) => index.kind === 'axis' && index.axis === over[over.length - count + i])
  return inOrder && count < operand.dims.length ? count : undefined
}

/** How many trailing dims each weight's dots contract, by pattern; undefined where uses disagree or a use reads it otherwise. */
function contractions(programs: readonly KernelProgram[], canonical: (path: string) => string): Map<string, number | undefined> {
  const found = new Map<string, number | undefined>()
  const note = (kernel: Kernel, expr: Expr, over: readonly string[]): void => {
    if (expr.kind === 'call') for (const arg of expr.args) note(kernel, arg, over)
    if (expr.kind !== 'load') return
    const operand = kernel.operands[expr.operand]!
    if (operand.source.kind !== 'weight') return
    const path = canonical(operand.source.path)
    const count = trailing(operand, expr, over)
    if (count === 0) {
      if (!found.has(path)) found.set(path, 0)
      return
    }
    const before = found.get(path)
    found.set(path, !found.has(path) || before === 0 || before === count ? count : undefined)
  }
  for (const program of programs) {
    for (const kernel of kernelsOf(program.steps)) {
      for (const definition of kernel.definitions) note(kernel, definition.body, definition.over)
      for (const output of kernel.outputs) note(kernel, output.value, [])
      if (kernel.select) note(kernel, kernel.select.value, [])
    }
  }
  return found
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
  programs: readonly KernelProgram[],
  policy: QuantPolicy,
  stored: (path: string) => string | undefined,
  canonical: (path: string) => string,
): WeightChoice {
  const uses = contractions(programs, canonical)
  const plans = new Map<string, WeightPlan>()
  const notes: string[] = []
  const byPattern = Map.groupBy(weights.filter((weight) => weight.tied === undefined), (weight) => patternOf(weight.path))
  for (const [pattern, members] of byPattern) {
    const { dims, precision, quant } = members[0]!
    const elements = dims.reduce((product, dim) => product * dim, 1)
    const count = uses.get(pattern) ?? 0
    if (count === 0) {
      plans.set(pattern, { format: 'f32', layout: 'plain', rows: 1, k: elements, bytes: layoutBytes('f32', 'plain', 1, elements) })
      continue
    }
    const k = dims.slice(-count).reduce((product, dim) => product * dim, 1)
    const rows = elements / k
    const format = formatOf(pattern, members, k)
    plans.set(pattern, { format, layout: 'r8', rows, k, bytes: layoutBytes(format, 'r8', rows, k) })

    function formatOf(pattern: string, members: readonly WeightInfo[], k: number): FormatName {
      if (precision === 'f32' || !quant || policy === 'none') return 'f32'
      if (policy !== 'keep') {
        if (fits(policy, 'r8', k)) return policy
        notes.push(`${pattern}: a row has ${k} values, which ${policy} cannot cut into blocks; stored as f32`)
        return 'f32'
      }
      const formats = [...new Set(members.map((member) => stored(member.path) ?? 'f32'))]
      if (formats.length === 1 && isFormatName(formats[0]!) && fits(formats[0], 'r8', k)) return formats[0]
      notes.push(`${pattern}: the file has ${formats.join(', ')}, which cannot be kept for all of them; stored as f32`)
      return 'f32'
    }
  }
  return { plans, notes }
}

/** The kernel with its weight operands as they are stored. */
export function withWeightPlans(kernel: Kernel, plans: ReadonlyMap<string, WeightPlan>, canonical: (path: string) => string): Kernel {
  const operands = kernel.operands.map((operand): Operand => {
    if (operand.source.kind !== 'weight') return operand
    const plan = plans.get(patternOf(canonical(operand.source.path)))
    if (!plan) throw new Error(`internal: no plan for the weight ${operand.source.path}`)
    const { format, layout, rows, k } = plan
    return { ...operand, format, layout, ...(layout === 'r8' ? { matrix: { rows, k } } : {}) }
  })
  return { ...kernel, operands }
}

/** The same for every kernel of a program. */
export function storeWeights(program: KernelProgram, plans: ReadonlyMap<string, WeightPlan>, canonical: (path: string) => string): KernelProgram {
  const change = (steps: readonly KernelStep[]): KernelStep[] =>
    steps.map((step) => {
      if (step.kind === 'kernel') return { ...step, kernel: withWeightPlans(step.kernel, plans, canonical) }
      if (step.kind === 'launch') return { ...step, kernels: step.kernels.map((kernel) => withWeightPlans(kernel, plans, canonical)) }
      return { ...step, groups: step.groups.map(change) }
    })
  return { ...program, steps: change(program.steps) }
}
