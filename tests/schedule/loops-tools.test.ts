// The loop IR's tools: construction simplifies without changing the result, the verifier finds planted errors in random
// functions, workgroups run in lock step, the printed form is stable.

import { countOf } from '../../compiler/schedule/count.ts'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { constant as sizeOf } from '../../dsl/affine.ts'
import { buffer, builtin, constant, Emitter, f32, i32, load, local, ops, scratch, symbol } from '../../compiler/schedule/build-loops.ts'
import { evaluateLoops } from '../../compiler/schedule/evaluate-loops.ts'
import type { LoopExpr, LoopFunction, LoopStmt } from '../../compiler/schedule/loops.ts'
import { printLoops } from '../../compiler/schedule/print-loops.ts'
import { loopFaults, verifyLoops } from '../../compiler/schedule/verify-loops.ts'
import { randomLoops } from './random-loops.ts'

/** Sum of all invocations' values by a tree in scratch memory, as a reduction on WebGPU does it. */
function treeSum(size: number): LoopFunction {
  const e = new Emitter()
  const me = builtin('invocation')
  e.store(1, me, load('f32', 0, ops.add(ops.mul(builtin('group_x'), size), me)))
  e.barrier()
  for (let half = size / 2; half >= 1; half /= 2) {
    e.if(ops.lt(me, half), () => e.store(1, me, ops.add(load('f32', 1, me), load('f32', 1, me, half))))
    e.barrier()
  }
  e.if(ops.eq(me, 0), () => e.store(2, builtin('group_x'), load('f32', 1, 0)))
  return {
    name: 'tree_sum',
    operands: [buffer('x', 0, 'read'), scratch('part', size), buffer('out', 1, 'write')],
    symbols: [],
    body: e.finish(),
    workgroup: size,
    grid: [[{ size: sizeOf(3 * size - 1), divisor: size }]],
  }
}

describe('construction', () => {
  test('integer expressions keep their value and lose their constants', () => {
    const leaf = fc.oneof(fc.integer({ min: -9, max: 9 }).map(i32), fc.constantFrom(symbol('a'), symbol('b')))
    type Plan = { op: 'add' | 'sub' | 'mul' | 'shl'; a: Plan; b: Plan } | LoopExpr
    const { tree } = fc.letrec<{ tree: Plan }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        leaf,
        fc.record({ op: fc.constantFrom('add', 'sub', 'mul'), a: tie('tree'), b: tie('tree') }) as fc.Arbitrary<Plan>,
      ),
    }))
    const symbols = { a: 3, b: -5 }
    const build = (t: Plan): LoopExpr => ('a' in t ? ops[t.op](build(t.a), build(t.b)) : t)
    const value = (t: Plan): number => {
      if (!('a' in t)) return t.kind === 'const' ? t.value : symbols[(t as { name: 'a' | 'b' }).name]
      const [x, y] = [value(t.a), value(t.b)]
      return t.op === 'mul' ? Math.imul(x, y) : (t.op === 'add' ? x + y : x - y) | 0
    }
    const foldable = (e: LoopExpr): boolean => e.kind === 'op' && (e.args.every((a) => a.kind === 'const') || e.args.some(foldable))
    fc.assert(
      fc.property(tree, (t) => {
        const e = new Emitter()
        const built = build(t)
        expect(foldable(built)).toBe(false)
        e.store(0, 0, built)
        // The address value+1000 of a load: its constant part may be in the offset, the sum is the same.
        const moved = load('i32', 1, ops.add(ops.and(built, 63), ops.add(build(t), ops.sub(7, build(t)))))
        e.store(0, 1, moved)
        const out = new Int32Array(2)
        evaluateLoops(
          {
            name: 'f',
            operands: [buffer('o', 0, 'write', 'i32'), buffer('x', 1, 'read', 'i32')],
            symbols: ['a', 'b'],
            body: e.finish(),
            workgroup: 1,
            grid: [],
          },
          { memory: [out, Int32Array.from({ length: 80 }, (_, i) => i * i)], symbols },
        )
        expect(out[0]).toBe(value(t))
        expect(out[1]).toBe(((value(t) & 63) + 7) ** 2)
      }),
    )
  })

  test('shifts, offsets, single trips', () => {
    expect(ops.mul(symbol('n'), 8)).toEqual(ops.shl(symbol('n'), 3))
    expect(load('f32', 0, ops.add(ops.mul(ops.add(symbol('n'), 3), 8), 1), 2)).toMatchObject({ at: ops.shl(symbol('n'), 3), offset: 27 })
    const e = new Emitter()
    e.loop('k', 4, 5, 1, (k) => e.store(0, k, k))
    e.loop('k', 5, 5, 1, () => e.barrier())
    e.let('x', i32(1))
    e.let('x', i32(2))
    expect(e.finish()).toMatchObject([{ kind: 'store', offset: 4 }, { name: 'x' }, { name: 'x_2' }])
    expect(() => ops.add(f32(1), i32(1))).toThrow('internal: loop op add does not take (f32, i32)')
  })
})

describe('verification', () => {
  const errors: Record<string, (s: LoopStmt) => LoopStmt | undefined> = {
    'is declared twice': (s) =>
      s.kind === 'let' ? { kind: 'loop', variable: s.name, from: i32(0), to: i32(2), step: 1, body: [s] } : undefined,
    'is not declared here': (s) =>
      s.kind === 'let' ? { ...s, value: local(s.type, 'nowhere') } : s.kind === 'set' ? { ...s, name: 'nowhere' } : undefined,
    'let ': (s) => (s.kind === 'let' ? { ...s, type: s.type === 'f32' ? 'i32' : 'f32' } : undefined),
    'loop step': (s) => (s.kind === 'loop' ? { ...s, step: 0 } : undefined),
    offset: (s) => (s.kind === 'store' ? { ...s, offset: -1 } : undefined),
    'is read only': (s) => (s.kind === 'store' ? { ...s, operand: 0 } : undefined),
    'no operand': (s) => (s.kind === 'store' ? { ...s, operand: 9 } : undefined),
    'address is not i32': (s) => (s.kind === 'store' ? { ...s, at: f32(0) } : undefined),
    'condition is not bool': (s) => (s.kind === 'if' ? { ...s, condition: i32(1) } : undefined),
    'is not of': (s) => (s.kind === 'store' ? { ...s, at: { kind: 'const', type: 'i32', value: 0.5 } } : undefined),
    'does not take': (s) => (s.kind === 'store' ? { ...s, at: { kind: 'op', type: 'i32', op: 'add', args: [i32(0), f32(0)] } } : undefined),
    'is set': (s) => (s.kind === 'loop' ? { ...s, body: [...s.body, { kind: 'set', name: s.variable, value: i32(0) }] } : undefined),
    'non-uniform': (s) => (s.kind === 'if' ? { ...s, condition: ops.lt(builtin('invocation'), 3), yes: [{ kind: 'barrier' }] } : undefined),
  }

  /** Applies `change` to the first statement that takes it, looking into blocks last. */
  function plant(body: readonly LoopStmt[], change: (s: LoopStmt) => LoopStmt | undefined): readonly LoopStmt[] | undefined {
    for (const [i, s] of body.entries()) {
      const changed = change(s)
      if (changed) return body.with(i, changed)
      if (s.kind === 'loop') {
        const inner = plant(s.body, change)
        if (inner) return body.with(i, { ...s, body: inner })
      }
    }
    return undefined
  }

  test.each(Object.entries(errors))('finds a planted error: %s', (message, change) => {
    let planted = 0
    fc.assert(
      fc.property(fc.gen(), (g) => {
        const fn = randomLoops(g, true)
        expect(loopFaults(fn)).toEqual([])
        const body = plant(fn.body, change)
        if (!body) return
        planted++
        expect(loopFaults({ ...fn, body }).join('\n')).toContain(message)
      }),
      { numRuns: 60 },
    )
    expect(planted).toBeGreaterThan(0)
  })

  test('barriers: uniform by value, not by place', () => {
    const fn = treeSum(8)
    verifyLoops(fn)
    const body = (steps: (e: Emitter, x: LoopExpr) => void): LoopFunction => {
      const e = new Emitter()
      steps(e, e.let('x', i32(0)))
      return { ...fn, body: e.finish() }
    }
    // x becomes non-uniform at the end of the first iteration, after the barrier in program order.
    const late = body((e, x) =>
      e.loop('k', 0, 4, 1, () => {
        e.if(ops.eq(x, 0), () => e.barrier())
        e.set(x, builtin('invocation'))
      }),
    )
    expect(loopFaults(late)).toEqual(['tree_sum: 1.0.yes.0: barrier in non-uniform control flow'])
    expect(loopFaults(body((e, x) => e.if(ops.eq(x, builtin('group_x')), () => e.barrier())))).toEqual([])
    expect(loopFaults(body((e) => e.if(ops.eq(load('i32', 1, 0), 0), () => e.barrier())))).toHaveLength(1)
    expect(loopFaults(body((e) => e.if(ops.eq(e.uniform('u', load('i32', 1, 0)), 0), () => e.barrier())))).toEqual([])
    expect(loopFaults(body((e) => e.if(ops.eq(load('i32', 1, 0), 0), () => e.uniform('u', builtin('group_x')))))).toHaveLength(1)
  })
})

describe('evaluation', () => {
  test('a tree sum in lock step, all workgroups of the grid', () => {
    for (const size of [2, 16]) {
      const x = Float32Array.from({ length: 3 * size }, (_, i) => i)
      const out = new Float32Array(3)
      evaluateLoops(treeSum(size), { memory: [x, undefined, out] })
      expect(Array.from(out)).toEqual([0, 1, 2].map((g) => x.subarray(g * size, (g + 1) * size).reduce((a, b) => a + b)))
    }
  })

  test('accesses out of range and diverging barriers are faults', () => {
    const run = (steps: (e: Emitter) => void) => {
      const e = new Emitter()
      steps(e)
      evaluateLoops({ ...treeSum(2), body: e.finish() }, { memory: [new Float32Array(6), undefined, new Float32Array(3)] })
    }
    expect(() => run((e) => e.let('x', load('f32x4', 0, 3)))).toThrow('internal: tree_sum: words 3…6 of x, which has 6')
    expect(() => run((e) => e.store(2, -1, f32(0)))).toThrow('internal')
    expect(() => run((e) => e.let('x', load('f32x4', 0, 1, 0, true)))).toThrow('not aligned')
    expect(() => run((e) => e.if(ops.eq(builtin('invocation'), 0), () => e.barrier()))).toThrow('only some invocations')
  })
})

test('the printed form', () => {
  const e = new Emitter()
  const acc = e.let('acc', constant('f32x4', 0))
  e.loop('r', builtin('from'), builtin('to'), 1, (r) => {
    e.loop('k', 0, symbol('n'), 4, (k) => {
      const w = ops.and(ops.shr_u(load('i32x4', 0, ops.add(ops.mul(r, 40), ops.mul(k, 8)), 2, true), 4), 0x0f0f0f0f)
      e.set(acc, ops.madd(ops.to_f32x4(w), ops.splat_f32(load('f32', 1, k, 1)), acc))
    })
    e.if(
      ops.gt(ops.hmax(acc), 0.5),
      () => e.store(2, r, ops.hsum(acc)),
      () => e.store(2, r, f32(-1)),
    )
  })
  const fn: LoopFunction = {
    name: 'sample',
    symbols: ['n'],
    workgroup: 1,
    grid: [],
    rows: { count: countOf(sizeOf(12)), unit: 1 },
    body: e.finish(),
    operands: [buffer('w', 0, 'read', 'i32', true), buffer('x', 1, 'read'), buffer('y', 2, 'write'), scratch('s', 4)],
  }
  verifyLoops(fn)
  expect(printLoops(fn)).toBe(`kernel sample
  w: read i32 buffer 0 vector
  x: read f32 buffer 1
  y: write f32 buffer 2
  s: readwrite f32 scratch 4
  symbols n
  rows 12 by 1
{
  let acc: f32x4 = f32x4(0.0)
  for r = $from to $to {
    for k = 0 to $n step 4 {
      acc = madd(to_f32x4((w.i32x4[((r * 40) + (k << 3)) + 2, aligned] >>> 4) & i32x4(252645135)), splat_f32(x.f32[k + 1]), acc)
    }
    if hmax(acc) > 0.5 {
      y[r] = hsum(acc)
    } else {
      y[r] = -1.0
    }
  }
}
`)
})
