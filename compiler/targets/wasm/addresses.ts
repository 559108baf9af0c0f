// Address arithmetic of loops. V8 neither hoists invariants out of a loop nor turns multiplications by the loop variable into
// additions, so it is done here: in an innermost loop, every access whose word address is c·variable + rest, with `rest` the
// same in all iterations, goes through a pointer that is set before the loop and stepped at its end. Integer locals that the
// loop declares and never sets again are looked through. Accesses that do not fit keep their generic form.

import { printExpr } from '../../schedule/print-loops.ts'
import type { LoopExpr, LoopStmt } from '../../schedule/loops.ts'

export interface Access {
  readonly operand: number
  readonly at: LoopExpr
  /** Whether `at` counts halves of words. */
  readonly halves?: boolean
}

/** Bytes of what an access counts, as a power of two. */
export const unitShift = ({ halves }: Pick<Access, 'halves'>): number => (halves ? 1 : 2)

/** One pointer of a loop: byte address of the words `at` (an expression of the loop variable), moving by `stride` of them an iteration. */
export interface Pointer extends Access {
  /** The accesses that it serves. */
  readonly key: string
  readonly stride: number
}

/** More than this many live pointers would spill on x86-64 (16 general registers, some taken by V8). */
const maxPointers = 9

/** Identity of an address: equal keys are equal expressions. */
export const accessKey = (access: Access): string => `${access.operand}${access.halves ? '/2' : ''}@${printExpr(access.at, [])}`

/** What a loop's body does: its accesses with how often, the locals it assigns, and those with one value per iteration. */
interface Body {
  readonly uses: Map<string, { readonly access: Access; count: number }>
  readonly assigned: Set<string>
  readonly lets: Map<string, LoopExpr>
  nested: boolean
}

/** The pointers worth keeping for this loop, most used first; none where it contains another loop. */
export function loopPointers(loop: LoopStmt & { kind: 'loop' }): readonly Pointer[] {
  const body: Body = { uses: new Map(), assigned: new Set([loop.variable]), lets: new Map(), nested: false }
  visit(loop.body, body)
  if (body.nested) return []
  return [...body.uses]
    .sort(([, a], [, b]) => b.count - a.count)
    .flatMap(([key, { access }]): Pointer[] => {
      const at = inline(access.at, body.lets)
      const slope = slopeOf(at, loop.variable, body.assigned)
      return slope === undefined || at.kind === 'const' ? [] : [{ ...access, at, key, stride: slope * loop.step }]
    })
    .slice(0, maxPointers)
}

function visit(statements: readonly LoopStmt[], body: Body): void {
  const count = (access: Access) => {
    const key = accessKey(access)
    const use = body.uses.get(key)
    if (use) use.count++
    else body.uses.set(key, { access: { operand: access.operand, at: access.at, ...(access.halves ? { halves: true } : {}) }, count: 1 })
  }
  const visitExpr = (e: LoopExpr): void => {
    if (e.kind === 'op') e.args.forEach(visitExpr)
    if (e.kind === 'load') {
      visitExpr(e.at)
      count(e)
    }
  }
  for (const s of statements) {
    switch (s.kind) {
      case 'loop':
        body.nested = true
        break
      case 'if':
        visitExpr(s.condition)
        visit(s.yes, body)
        visit(s.no ?? [], body)
        break
      case 'store':
        visitExpr(s.at)
        count(s)
        visitExpr(s.value)
        break
      case 'let':
      case 'set':
        body.assigned.add(s.name)
        if (s.kind === 'let' && s.type === 'i32') body.lets.set(s.name, s.value)
        else body.lets.delete(s.name)
        visitExpr(s.value)
    }
  }
}

function inline(e: LoopExpr, lets: ReadonlyMap<string, LoopExpr>): LoopExpr {
  if (e.kind === 'local') {
    const value = lets.get(e.name)
    return value ? inline(value, lets) : e
  }
  return e.kind === 'op' ? { ...e, args: e.args.map((a) => inline(a, lets)) } : e
}

/** c where e = c·variable + invariant (modulo 2^32) and computing e before the loop cannot trap; else undefined. */
function slopeOf(e: LoopExpr, variable: string, assigned: ReadonlySet<string>): number | undefined {
  if (e.kind === 'local') return e.name === variable ? 1 : assigned.has(e.name) ? undefined : 0
  if (e.kind === 'load') return undefined
  if (e.kind !== 'op') return 0
  const slopes = e.args.map((a) => slopeOf(a, variable, assigned))
  if (slopes.some((s) => s === undefined)) return undefined
  const [a, b] = slopes as [number, number]
  const by = e.args[1]?.kind === 'const' ? e.args[1].value : undefined
  if ((e.op === 'div' || e.op === 'rem') && !by) return undefined
  if (slopes.every((s) => s === 0)) return 0
  if (e.op === 'add') return (a + b) | 0
  if (e.op === 'sub') return (a - b) | 0
  if (e.op === 'mul' && by !== undefined) return Math.imul(a, by)
  if (e.op === 'shl' && by !== undefined) return a << by
  return undefined
}
