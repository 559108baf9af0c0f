// Several functions as one: by the evaluator it does what they do one after the other, whatever their sizes, and with barriers.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { constant as size } from '../../dsl/affine.ts'
import { buffer, builtin, constant, Emitter, load, ops, scratch } from '../../compiler/schedule/build-loops.ts'
import { evaluateLoops } from '../../compiler/schedule/evaluate-loops.ts'
import { canJoin, joinLaunch } from '../../compiler/schedule/join-launch.ts'
import type { LoopFunction } from '../../compiler/schedule/loops.ts'
import { verifyLoops } from '../../compiler/schedule/verify-loops.ts'
import { joinAll } from '../../compiler/schedule/work-group.ts'
import { Scope } from '../../compiler/schedule/scope.ts'

const threads = 4

/** y[group] = Σ x[group * 4 + i] + by, by a tree in scratch memory. */
function sums(name: string, groups: number, by: number): LoopFunction {
  const e = new Emitter()
  const scope = new Scope({ name, axes: [], operands: [], definitions: [], outputs: [] }, e, new Map())
  const group = builtin('group_x')
  const mine = e.let('x', load('f32', 0, ops.add(ops.mul(group, threads), builtin('invocation'))))
  const total = joinAll(scope, { threads, leastSubgroup: 0 }, 2, 'sum', mine)
  e.if(ops.eq(builtin('invocation'), 0), () => e.store(1, group, ops.add(total, constant('f32', by))))
  return {
    name,
    operands: [buffer('x', 0, 'read'), buffer('y', 1, 'write'), scratch('tree', threads)],
    symbols: [],
    body: e.finish(),
    workgroup: threads,
    grid: [[{ size: size(groups), divisor: 1 }]],
  }
}

test('one launch of several functions writes what they write', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }), (counts) => {
      const fns = counts.map((groups, i) => sums(`f${i}`, groups, i))
      const memory = counts.flatMap((groups) => [
        Float32Array.from({ length: groups * threads }, (_, i) => (i * 7) % 11),
        new Float32Array(groups).fill(-1),
      ])
      const wanted = memory.map((words) => words.slice())
      for (const [i, fn] of fns.entries()) evaluateLoops(fn, { memory: wanted.slice(2 * i, 2 * i + 2) })
      const joined = joinLaunch(fns)
      verifyLoops(joined)
      evaluateLoops(joined, { memory })
      expect(memory).toEqual(wanted)
    }),
    { numRuns: 50 },
  )
})

test('workgroups of two sizes, or as many as a symbol says, do not join', () => {
  const one = sums('one', 2, 0)
  expect(canJoin([one, { ...one, workgroup: 8 }])).toBe(false)
  expect(canJoin([one, { ...one, grid: [[{ size: { const: 0, terms: [['seq', 1]] }, divisor: 1 }]] }])).toBe(false)
  expect(canJoin([one, { ...one, grid: [...one.grid, [{ size: size(2), divisor: 1 }]] }])).toBe(false)
  expect(canJoin([one, one])).toBe(true)
})
