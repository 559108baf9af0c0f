// Checks a loop function: types by the op table, locals declared once and visible where used, operands and their access,
// constants that fit their type, positive steps, non-negative offsets, and barriers in uniform control flow only (a value is
// uniform when all invocations of a workgroup have it; loads of memory that is written count as non-uniform, as in WGSL).

import { resultType } from './build-loops.ts'
import type { LoopExpr, LoopFunction, LoopStmt, LoopType } from './loops.ts'

/** Every fault found, as `place: what`; empty for a correct function. */
export function loopFaults(fn: LoopFunction): readonly string[] {
  const faults: string[] = []
  const declared = new Set<string>()
  const fault = (place: string, what: string) => faults.push(`${fn.name}: ${place}: ${what}`)

  function memory(
    place: string,
    at: { operand: number; at: LoopExpr; offset: number; aligned?: boolean; halves?: boolean },
    type: LoopType,
    write: boolean,
    scope: Scope,
  ) {
    const operand = fn.operands[at.operand]
    if (!operand) return fault(place, `no operand ${at.operand}`)
    if (operand.access === (write ? 'read' : 'write')) fault(place, `operand ${operand.name} is ${operand.access} only`)
    if (!Number.isInteger(at.offset) || at.offset < 0) fault(place, `offset ${at.offset}`)
    if (type === 'bool' || type === 'boolx4') fault(place, `${type} has no memory form`)
    if (at.halves && (!type.startsWith('i32') || at.aligned)) fault(place, `halves as ${type}${at.aligned ? ', aligned' : ''}`)
    if (write && operand.memory.kind === 'scratch' && operand.vector && !at.aligned)
      fault(place, `a word of ${operand.name} is stored alone`)
    if (at.aligned && !type.endsWith('x4')) fault(place, 'aligned access of a scalar')
    if (expr(place, at.at, scope) !== 'i32') fault(place, 'address is not i32')
  }

  function expr(place: string, e: LoopExpr, scope: Scope): LoopType {
    switch (e.kind) {
      case 'const':
        if (!fitsConstant(e.type, e.value)) fault(place, `constant ${e.value} is not of ${e.type}`)
        break
      case 'local': {
        const type = scope.get(e.name)?.type
        if (!type) fault(place, `${e.name} is not declared here`)
        else if (type !== e.type) fault(place, `${e.name} is ${type}, used as ${e.type}`)
        break
      }
      case 'symbol':
        if (!fn.symbols.includes(e.name)) fault(place, `unknown symbol ${e.name}`)
        break
      case 'builtin': {
        const dimension = { group_x: 0, group_y: 1, group_z: 2 }[e.name as string]
        if (dimension !== undefined && dimension >= fn.grid.length) fault(place, `${e.name} outside the grid`)
        if ((e.name === 'from' || e.name === 'to') && !fn.rows) fault(place, `${e.name} without rows`)
        break
      }
      case 'load':
        memory(place, e, e.type, false, scope)
        break
      case 'op': {
        const types = e.args.map((a) => expr(place, a, scope))
        try {
          const type = resultType(e.op, types)
          if (type !== e.type) fault(place, `${e.op} gives ${type}, not ${e.type}`)
        } catch (error) {
          fault(place, (error as Error).message.replace('internal: ', ''))
        }
        constantArgument(place, e)
      }
    }
    return e.type
  }

  function constantArgument(place: string, e: LoopExpr & { kind: 'op' }) {
    const second = e.args[1]
    const value = second?.kind === 'const' ? second.value : undefined
    if (e.op.startsWith('lane_') && !(value !== undefined && value >= 0 && value < 4)) fault(place, `${e.op} needs a constant lane 0…3`)
    if (/^sh[lr]/.test(e.op) && value !== undefined && (value < 0 || value > 31)) fault(place, `shift by ${value}`)
    if ((e.op === 'div' || e.op === 'rem') && e.type === 'i32' && value === 0) fault(place, 'division by 0')
  }

  function declare(place: string, name: string, type: LoopType, fixed: boolean, scope: Scope) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) fault(place, `bad name ${name}`)
    if (declared.has(name)) fault(place, `${name} is declared twice`)
    declared.add(name)
    scope.set(name, { type, fixed })
  }

  function body(statements: readonly LoopStmt[], outer: Scope, path: string) {
    const scope: Scope = new Map(outer)
    for (const [i, s] of statements.entries()) statement(s, scope, `${path}${i}`)
  }

  function statement(s: LoopStmt, scope: Scope, place: string) {
    switch (s.kind) {
      case 'let': {
        const type = expr(place, s.value, scope)
        if (type !== s.type) fault(place, `let ${s.name}: ${s.type} = ${type}`)
        declare(place, s.name, s.type, false, scope)
        break
      }
      case 'set': {
        const target = scope.get(s.name)
        const type = expr(place, s.value, scope)
        if (!target) fault(place, `${s.name} is not declared here`)
        else if (target.fixed) fault(place, `loop variable ${s.name} is set`)
        else if (target.type !== type) fault(place, `${s.name} is ${target.type}, set to ${type}`)
        break
      }
      case 'store':
        memory(place, s, expr(place, s.value, scope), true, scope)
        break
      case 'loop': {
        for (const bound of [s.from, s.to]) if (expr(place, bound, scope) !== 'i32') fault(place, 'loop bound is not i32')
        if (!Number.isInteger(s.step) || s.step < 1) fault(place, `loop step ${s.step}`)
        const inner: Scope = new Map(scope)
        declare(place, s.variable, 'i32', true, inner)
        body(s.body, inner, `${place}.`)
        break
      }
      case 'if':
        if (expr(place, s.condition, scope) !== 'bool') fault(place, 'condition is not bool')
        body(s.yes, scope, `${place}.yes.`)
        body(s.no ?? [], scope, `${place}.no.`)
        break
      case 'barrier':
        break
      case 'uniform':
        if (expr(place, s.value, scope) !== 'i32') fault(place, `uniform ${s.name} is not i32`)
        declare(place, s.name, s.type, true, scope)
        break
      case 'subgroup': {
        const type = expr(place, s.value, scope)
        if (type !== s.type) fault(place, `subgroup ${s.name}: ${s.type} of ${type}`)
        if (typeof s.how === 'object' && !(s.how.by > 0 && Number.isInteger(Math.log2(s.how.by)))) fault(place, `swap by ${s.how.by}`)
        declare(place, s.name, s.type, true, scope)
        break
      }
    }
  }

  body(fn.body, new Map(), '')
  if (faults.length === 0) faults.push(...barrierFaults(fn))
  return faults
}

/** Throws `internal:` with the first fault. */
export function verifyLoops(fn: LoopFunction): void {
  const [first] = loopFaults(fn)
  if (first !== undefined) throw new Error(`internal: loop function ${first}`)
}

type Scope = Map<string, { type: LoopType; fixed: boolean }>

function fitsConstant(type: LoopType, value: number): boolean {
  if (type === 'i32' || type === 'i32x4') return value === (value | 0)
  if (type === 'f32' || type === 'f32x4') return Number.isFinite(value) && Math.fround(value) === value
  return value === 0 || value === 1
}

/** Least fixpoint of "may differ between invocations" over all locals; then every barrier's surroundings are checked. */
function barrierFaults(fn: LoopFunction): string[] {
  const varying = new Set<string>()
  const varies = (e: LoopExpr): boolean => {
    if (e.kind === 'local') return varying.has(e.name)
    if (e.kind === 'builtin') return e.name === 'invocation' || e.name === 'lanes'
    if (e.kind === 'load') return fn.operands[e.operand]!.access !== 'read' || varies(e.at)
    return e.kind === 'op' && e.args.some(varies)
  }
  const faults: string[] = []
  function walk(statements: readonly LoopStmt[], inVarying: boolean, path: string, report: boolean) {
    statements.forEach((s, i) => {
      if (s.kind === 'let' || s.kind === 'set') {
        if (inVarying || varies(s.value)) varying.add(s.name)
      } else if (s.kind === 'loop') {
        const inner = inVarying || varies(s.from) || varies(s.to)
        if (inner) varying.add(s.variable)
        walk(s.body, inner, `${path}${i}.`, report)
      } else if (s.kind === 'if') {
        const inner = inVarying || varies(s.condition)
        walk(s.yes, inner, `${path}${i}.yes.`, report)
        if (s.no) walk(s.no, inner, `${path}${i}.no.`, report)
      } else if (s.kind === 'barrier' || s.kind === 'subgroup' || s.kind === 'uniform') {
        if (s.kind === 'subgroup') varying.add(s.name)
        if (inVarying && report) faults.push(`${fn.name}: ${path}${i}: ${s.kind} in non-uniform control flow`)
      }
    })
  }
  for (let size = -1; size !== varying.size; ) {
    size = varying.size
    walk(fn.body, false, '', false)
  }
  walk(fn.body, false, '', true)
  return faults
}
