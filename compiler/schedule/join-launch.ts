// Functions that do not depend on each other as one: the workgroups of the first come first along x, then those of the second, and the
// number of a workgroup says whose body it runs. Which one that is is the same for all its invocations, so barriers stay legal.
// Scratch memory is shared, since a workgroup runs one body.

import * as affine from '../../dsl/affine.ts'
import { builtin, i32, local, ops, scratch } from './build-loops.ts'
import { type Count, countMost } from './count.ts'
import type { LoopFunction, LoopOperand, LoopStmt } from './loops.ts'
import { changeLoops } from './walk-loops.ts'

const dimension = ({ grid }: LoopFunction, d: number): Count => grid[d] ?? []
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Whether `joinLaunch` takes them: workgroups of one size, as many along y and z, a number along x that no symbol changes. */
export const canJoin = (fns: readonly LoopFunction[]): boolean =>
  fns.every(
    (fn) =>
      fn.workgroup === fns[0]!.workgroup &&
      !fn.rows &&
      !fn.join &&
      dimension(fn, 0).every(({ size }) => affine.isConstant(size)) &&
      [1, 2].every((d) => same(dimension(fn, d), dimension(fns[0]!, d))),
  )

/** One function of several; its buffer operands are those of the first function, then those of the second … */
export function joinLaunch(fns: readonly LoopFunction[]): LoopFunction {
  const [first] = fns
  if (!first || !canJoin(fns)) throw new Error('internal: functions that cannot be one launch')
  if (fns.length === 1) return first
  const buffers: LoopOperand[] = []
  const words: number[] = []
  const vectors: boolean[] = []
  const group = builtin('group_x')
  const parts = fns.map((fn, part) => {
    const from = buffers.length
    let slot = 0
    // Scratch operands are numbered from -1 downwards until all buffers are known.
    const places = fn.operands.map(({ memory, vector = false }) => {
      if (memory.kind === 'buffer') return from + memory.operand
      vectors[slot] = (vectors[slot] ?? true) && vector
      words[slot] = Math.max(words[slot] ?? 0, memory.words)
      return -1 - slot++
    })
    for (const operand of fn.operands) {
      if (operand.memory.kind === 'scratch') continue
      const place = from + operand.memory.operand
      buffers[place] = { ...operand, name: `o${place}`, memory: { kind: 'buffer', operand: place } }
    }
    return { fn, places, own: `p${part}` }
  })
  const operandOf = (place: number): number => (place >= 0 ? place : buffers.length - 1 - place)
  const bodies = parts.map(({ fn, places, own: name }) => {
    const own = local('i32', name)
    const body = changeLoops(fn.body, {
      local: (each) => `${name}_${each}`,
      operand: (each) => operandOf(places[each]!),
      builtin: (e) => (e.name === 'group_x' ? own : e),
    })
    return { body, name, count: countMost(dimension(fn, 0), new Map()) }
  })
  const total = bodies.reduce((sum, { count }) => sum + count, 0)
  const choose = (part: number, start: number): LoopStmt[] => {
    const { body, name, count } = bodies[part]!
    const mine: LoopStmt[] = [{ kind: 'let', name, type: 'i32', value: ops.sub(group, start) }, ...body]
    if (part === bodies.length - 1) return mine
    return [{ kind: 'if', condition: ops.lt(group, i32(start + count)), yes: mine, no: choose(part + 1, start + count) }]
  }
  return {
    name: first.name,
    operands: [...buffers, ...words.map((count, i) => ({ ...scratch(`scratch${i}`, count), ...(vectors[i] ? { vector: true } : {}) }))],
    symbols: [...new Set(fns.flatMap(({ symbols }) => symbols))].sort(),
    body: choose(0, 0),
    workgroup: first.workgroup,
    grid: [[{ size: affine.constant(total), divisor: 1 }], dimension(first, 1), dimension(first, 2)],
  }
}
