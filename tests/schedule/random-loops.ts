// Random loop functions that are correct by construction: every address is in range, floats stay finite and small, no NaN
// and no sign of a zero can be observed. So an evaluator and a target must agree bit for bit.

import fc from 'fast-check'
import { buffer, constant, Emitter, load, ops, scratch, symbol } from '../../compiler/schedule/build-loops.ts'
import { type LoopExpr, type LoopFunction, type LoopOp, loopOps, type LoopType, partOps } from '../../compiler/schedule/loops.ts'

type Gen = fc.GeneratorValue

export const memoryWords = 128
const types: readonly LoopType[] = ['i32', 'f32', 'i32x4', 'f32x4', 'bool', 'boolx4']
const inexact = new Set<LoopOp>(['exp', 'log', 'tanh', 'erf', 'sin', 'cos', 'pow'])

/** All uses of an op: argument types and the result. */
const uses = (Object.keys(loopOps) as LoopOp[])
  .filter((op) => !inexact.has(op) && !partOps.has(op))
  .flatMap((op) => {
    const [result, arity, allowed] = loopOps[op] as readonly [string, number, readonly LoopType[]]
    return allowed.map((type) => {
      const args = Array.from({ length: arity }, () => type)
      const condition: LoopType = type.endsWith('x4') ? 'boolx4' : 'bool'
      if (op === 'select') args[0] = condition
      if (/^(shl|shr_.|lane_.*)$/.test(op)) args[1] = 'i32'
      return { op, args, result: result === 'same' ? type : result === 'bool' ? condition : (result as LoopType) }
    })
  })

const bounded = (x: LoopExpr): LoopExpr => (x.type.startsWith('f32') ? ops.max(ops.min(x, 8), -8) : x)

/** Rewrites an argument so that the op is defined and its result small. */
function tame(op: LoopOp, place: number, x: LoopExpr): LoopExpr {
  const float = x.type.startsWith('f32')
  if (op === 'div' && float) return place === 1 ? ops.add(ops.abs(bounded(x)), 0.5) : bounded(x)
  if (op === 'div' || op === 'rem') return place === 1 ? ops.add(ops.and(x, 15), 1) : x
  if (op === 'sqrt' || op === 'rsqrt') return ops.add(ops.abs(x), 0.5)
  if (op === 'dot4' && place === 1) return ops.and(x, 0x7f7f7f7f)
  if (op.startsWith('half')) return ops.and(x, 0xbfffbfff | 0)
  if (op.startsWith('bits_f32')) return ops.or(ops.and(x, 0x7fffff), 0x3f800000)
  if (op.startsWith('bits_i32')) return ops.add(x, 0)
  if (op.startsWith('lane') && place === 1) return x
  if (op.startsWith('sh') && place === 1) return ops.and(x, 31)
  return x
}

interface Local {
  readonly local: LoopExpr
  readonly loop: boolean
}

class Builder {
  readonly e = new Emitter()
  readonly g: Gen
  readonly fused: boolean
  scope: Local[] = []
  depth = 0
  constructor(g: Gen, fused: boolean) {
    this.g = g
    this.fused = fused
  }

  int(min: number, max: number): number {
    return this.g(fc.integer, { min, max })
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)]!
  }

  leaf(type: LoopType, depth: number): LoopExpr {
    const locals = this.scope.filter(({ local }) => local.type === type)
    const choice = this.int(0, 3)
    if (locals.length > 0 && choice > 0) return this.pick(locals).local
    if (type === 'bool' || type === 'boolx4' || choice === 0) {
      return constant(type, type.startsWith('f32') ? this.int(-32, 32) / 4 : this.int(-(2 ** 31), 2 ** 31 - 1))
    }
    if (type === 'i32' && choice === 1) return symbol(this.pick(['n', 'm']))
    const operand = this.pick(type.startsWith('f32') ? [0, 4] : [1, 5])
    return load(type, operand, this.address(depth - 1), this.int(0, 7))
  }

  /** At most 120: affine in the loops around, or anything masked. */
  address(depth = 2): LoopExpr {
    const loops = this.scope.filter((each) => each.loop)
    if (loops.length > 0 && this.int(0, 4) > 0) {
      const terms = loops.map(({ local }) => ops.mul(local, this.int(0, 4)))
      return terms.reduce(
        (a, b) => ops.add(a, b),
        ops.add(this.pick([symbol('n'), constant('i32', 0), ops.mul(symbol('m'), 2)]), this.int(0, 8)),
      )
    }
    return depth > 0 ? ops.and(this.expr('i32', depth), this.pick([63, 31, 15])) : constant('i32', this.int(0, 63))
  }

  expr(type: LoopType, depth: number): LoopExpr {
    const fitting = uses.filter((use) => use.result === type && (this.fused || use.op !== 'madd'))
    if (depth === 0 || this.int(0, 3) === 0) return this.leaf(type, depth)
    const { op, args } = this.pick(fitting)
    const values = args.map((arg, i) =>
      op.startsWith('lane') && i === 1 ? constant('i32', this.int(0, 3)) : tame(op, i, this.expr(arg, depth - 1)),
    )
    return (ops[op] as (...args: LoopExpr[]) => LoopExpr)(...values)
  }

  statement(): void {
    const kind = this.int(0, 9)
    const locals = this.scope.filter((each) => !each.loop)
    if (kind < 3) {
      const type = this.pick(types)
      this.scope.push({ local: this.e.let('v', bounded(this.expr(type, 3))), loop: false })
    } else if (kind < 5 && locals.length > 0) {
      const { local } = this.pick(locals)
      this.e.set(local, bounded(this.expr(local.type, 3)))
    } else if (kind < 7) {
      const type = this.pick(['i32', 'f32', 'i32x4', 'f32x4'] as const)
      this.e.store(this.pick(type.startsWith('f32') ? [2, 4] : [3, 5]), this.address(), bounded(this.expr(type, 3)), this.int(0, 7))
    } else if (kind < 9 && this.depth < 3) {
      const to = this.pick([constant('i32', this.int(0, 8)), symbol('n'), ops.and(this.expr('i32', 1), 7)])
      const from = this.pick([constant('i32', this.int(0, 3)), ops.and(this.expr('i32', 1), 3)])
      this.e.loop('k', from, to, this.int(1, 3), (k) => this.block(k.kind === 'local' ? [{ local: k, loop: true }] : []))
    } else this.e.if(this.expr('bool', 2), () => this.block(), this.int(0, 1) ? () => this.block() : undefined)
  }

  /** A local of the block is gone after it. */
  block(more: readonly Local[] = []): void {
    const outer = this.scope
    this.scope = [...outer, ...more]
    this.depth++
    for (let i = this.int(1, 4); i > 0 && this.depth < 5; i--) this.statement()
    this.depth--
    this.scope = outer
  }
}

/** A function on memories of `memoryWords` words; the last two are scratch that the caller fills. `fused`: with madd. */
export function randomLoops(g: Gen, fused: boolean): LoopFunction {
  const builder = new Builder(g, fused)
  for (let i = g(fc.integer, { min: 1, max: 6 }); i > 0; i--) builder.statement()
  return {
    name: 'random',
    operands: [
      buffer('floats', 0, 'read'),
      buffer('ints', 1, 'read', 'i32'),
      buffer('out', 2, 'write'),
      buffer('outi', 3, 'write', 'i32'),
      scratch('sf', memoryWords),
      scratch('si', memoryWords, 'i32'),
    ],
    symbols: ['n', 'm'],
    body: builder.e.finish(),
    workgroup: 1,
    grid: [],
  }
}

/** Memories for one call, each call's own. */
export function randomMemory(g: Gen): (Float32Array | Int32Array)[] {
  let state = g(fc.integer)
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return Math.imul(state ^ (state >>> 15), 0x2c1b3c6d)
  }
  const floats = () => Float32Array.from({ length: memoryWords }, () => (next() >> 25) / 8)
  const ints = () => Int32Array.from({ length: memoryWords }, next)
  return [floats(), ints(), new Float32Array(memoryWords), new Int32Array(memoryWords), floats(), ints()]
}
