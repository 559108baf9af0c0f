// What a kernel is, from its definitions: the word that schedules, reports and golden tests use.

import type { Expr, Kernel, KernelShape } from './types.ts'

function loadOf(e: Expr): Extract<Expr, { kind: 'load' }> | undefined {
  if (e.kind === 'call' && e.fn === 'cast') return loadOf(e.args[0]!)
  return e.kind === 'load' ? e : undefined
}

/**
 * 'select': a choice of the k largest. 'contract': some definition is Σ load·load with a weight. 'attend': a reduction runs over
 * an axis that another definition's reduction is free over. 'row': other reductions. 'map': none.
 */
export function classify(kernel: Kernel): KernelShape {
  if (kernel.select) return 'select'
  const reductions = kernel.definitions.filter((definition) => definition.over.length > 0)
  if (reductions.length === 0) return 'map'
  const contracts = reductions.some(
    ({ combine, body }) =>
      combine === 'sum' &&
      body.kind === 'call' &&
      body.fn === 'mul' &&
      body.args.every(loadOf) &&
      body.args.some((arg) => kernel.operands[loadOf(arg)!.operand]!.source.kind === 'weight'),
  )
  if (contracts) return 'contract'
  const reduced = new Set(reductions.flatMap((definition) => definition.over))
  return reductions.some((definition) => definition.free.some((axis) => reduced.has(axis))) ? 'attend' : 'row'
}
