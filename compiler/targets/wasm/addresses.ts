// Address arithmetic of loops. V8 neither hoists invariants out of a loop nor turns multiplications by the loop variable into
// additions, so it is done here: in an innermost loop, every access whose word address is c·variable + rest, with `rest` the
// same in all iterations, goes through a pointer that is set before the loop and stepped at its end. Accesses that do not fit
// (an address computed inside the loop, more pointers than registers) keep their generic form.

import { printExpr } from '../../schedule/print-loops.ts'
import type { LoopExpr, LoopStmt } from '../../schedule/loops.ts'

export interface Access {
  readonly operand: number
  readonly at: LoopExpr
}

/** One pointer of a loop: byte address of the words `at` (as an expression of the loop variable), moving by `stride` words an iteration. */
export interface Pointer extends Access {
  readonly key: string
  readonly stride: number
}

/** More than this many live pointers would spill on x86-64 (16 general registers, some taken by V8). */
const maxPointers = 9

/** Identity of an address: equal keys are equal expressions. */
export const accessKey = (access: Access): string => `${access.operand}@${printExpr(access.at, [])}`

/** The pointers worth keeping for this loop, most used first; none where it contains another loop. */
export function loopPointers(loop: LoopStmt & { kind: 'loop' }): readonly Pointer[] {
  const assigned = new Set<string>([loop.variable])
  const uses = new Map<string, { access: Access; count: number }>()
  let nested = false
  const visitExpr = (e: LoopExpr): void => {
    if (e.kind === 'op') e.args.forEach(visitExpr)
    if (e.kind === 'load') {
      visitExpr(e.at)
      count(e)
    }
  }
  const count = (access: Access) => {
    const key = accessKey(access)
    const use = uses.get(key)
    if (use) use.count++
    else uses.set(key, { access: { operand: access.operand, at: access.at }, count: 1 })
  }
  const visit = (body: readonly LoopStmt[]): void => {
    for (const s of body) {
      if (s.kind === 'loop') nested = true
      else if (s.kind === 'if') {
        visitExpr(s.condition)
        visit(s.yes)
        visit(s.no ?? [])
      } else if (s.kind !== 'barrier') {
        if (s.kind === 'store') {
          visitExpr(s.at)
          count(s)
        } else assigned.add(s.name)
        visitExpr(s.value)
      }
    }
  }
  visit(loop.body)
  if (nested) return []
  return [...uses]
    .sort(([, a], [, b]) => b.count - a.count)
    .flatMap(([key, { access }]) => {
      if (access.at.kind === 'const') return []
      const slope = slopeOf(access.at, loop.variable, assigned)
      return slope === undefined ? [] : [{ ...access, key, stride: slope * loop.step }]
    })
    .slice(0, maxPointers)
}

/** c where e = c·variable + invariant (modulo 2^32); undefined where e is not of that form. */
function slopeOf(e: LoopExpr, variable: string, assigned: ReadonlySet<string>): number | undefined {
  if (e.kind === 'local') return e.name === variable ? 1 : assigned.has(e.name) ? undefined : 0
  if (e.kind === 'load') return undefined
  if (e.kind !== 'op') return 0
  const slopes = e.args.map((a) => slopeOf(a, variable, assigned))
  if (slopes.some((s) => s === undefined)) return undefined
  const [a, b] = slopes as [number, number]
  if (slopes.every((s) => s === 0)) return 0
  const by = e.args[1]?.kind === 'const' ? e.args[1].value : undefined
  if (e.op === 'add') return (a + b) | 0
  if (e.op === 'sub') return (a - b) | 0
  if (e.op === 'mul' && by !== undefined) return Math.imul(a, by)
  if (e.op === 'shl' && by !== undefined) return a << by
  return undefined
}
