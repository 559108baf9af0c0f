// Random loop functions whose results do not depend on rounding, on the order of invocations or on undefined behaviour: floats
// are kept multiples of 1/8 below 1000, addresses are masked, every invocation writes words of its own, scratch is written
// before it is read and phases are separated by barriers in uniform control flow. Built from a list of choices, so they shrink.

import { constant, elementOf, Emitter, isVector, load, ops, scratch, symbol, widen } from '../../compiler/schedule/build-loops.ts'
import type { LoopExpr, LoopFunction, LoopOp, LoopType } from '../../compiler/schedule/loops.ts'

export const inputWords = 64
export const outputsPerInvocation = 8

const operand = { floats: 0, ints: 1, packed: 2, state: 3, out: 4, outInts: 5, scratch: 6 } as const

const arithmetic: Readonly<Record<'i32' | 'f32', readonly LoopOp[]>> = {
  i32: [
    'add',
    'sub',
    'mul',
    'and',
    'or',
    'xor',
    'min',
    'max',
    'neg',
    'shl',
    'shr_s',
    'shr_u',
    'div',
    'rem',
    'select',
    'dot4',
    'to_i32',
    'bits_i32',
    'pack_bytes',
    'lane_i32',
  ],
  f32: [
    'add',
    'sub',
    'mul',
    'min',
    'max',
    'neg',
    'abs',
    'floor',
    'nearest',
    'madd',
    'select',
    'to_f32',
    'hsum',
    'hmax',
    'hmin',
    'lane_f32',
  ],
}

class Builder {
  readonly e = new Emitter()
  private readonly choices: readonly number[]
  private next = 0
  private readonly visible: LoopExpr[] = []
  private readonly mutable: LoopExpr[] = []
  readonly group: number

  constructor(choices: readonly number[], group: number) {
    this.choices = choices
    this.group = group
  }

  /** 0 … n−1; zeros when the list is used up, which ends the program. */
  pick(n: number): number {
    return this.next < this.choices.length ? this.choices[this.next++]! % n : 0
  }

  get invocation(): LoopExpr {
    return { kind: 'builtin', type: 'i32', name: 'invocation' }
  }

  get global(): LoopExpr {
    return ops.add(ops.mul({ kind: 'builtin', type: 'i32', name: 'group_x' }, this.group), this.invocation)
  }

  leaf(type: LoopType): LoopExpr {
    const known = this.visible.filter((local) => local.type === type)
    if (known.length > 0 && this.pick(3) > 0) return known[this.pick(known.length)]!
    if (elementOf(type) === 'bool') return constant(type, this.pick(2))
    const float = elementOf(type) === 'f32'
    if (this.pick(2) > 0) {
      const vector = isVector(type)
      const choices = float ? [operand.floats, operand.state] : [operand.ints, operand.packed]
      const from = choices[this.pick(2)]!
      const mask = vector && from === operand.packed ? (inputWords - 1) & ~3 : vector ? inputWords - 1 - 3 - 8 : inputWords - 1
      return load(type, from, ops.and(this.expr('i32', 1), mask), vector && from !== operand.packed ? this.pick(8) : 0)
    }
    if (type === 'i32') return [symbol('n'), this.invocation, this.global, constant('i32', this.pick(200) - 100)][this.pick(4)]!
    return constant(type, float ? (this.pick(200) - 100) / 8 : this.pick(200) - 100)
  }

  expr(type: LoopType, depth: number): LoopExpr {
    if (depth === 0 || this.pick(5) === 0) return this.leaf(type)
    const element = elementOf(type)
    const wide = isVector(type)
    const deeper = (t: LoopType) => this.expr(t, depth - 1)
    const like = (t: 'i32' | 'f32' | 'bool'): LoopType => (wide ? widen(t) : t)
    if (element === 'bool') {
      if (this.pick(4) === 0) return ops.not(deeper(type))
      if (this.pick(3) === 0) return ops[(['and', 'or'] as const)[this.pick(2)]!](deeper(type), deeper(type))
      const of = like((['i32', 'f32'] as const)[this.pick(2)]!)
      return ops[(['eq', 'ne', 'lt', 'le', 'gt', 'ge'] as const)[this.pick(6)]!](deeper(of), deeper(of))
    }
    const op = arithmetic[element as 'i32'][this.pick(arithmetic[element as 'i32'].length)]!
    switch (op) {
      case 'neg':
      case 'abs':
      case 'floor':
      case 'nearest':
        return ops[op](deeper(type))
      case 'shl':
      case 'shr_s':
      case 'shr_u':
        return ops[op](deeper(type), this.pick(2) > 0 ? this.pick(32) : ops.and(deeper('i32'), 31))
      case 'div':
      case 'rem':
        return wide ? ops.sub(deeper(type), deeper(type)) : ops[op](deeper('i32'), ops.add(ops.and(deeper('i32'), 7), 1))
      case 'min':
      case 'max':
        return wide && element === 'i32' ? ops.xor(deeper(type), deeper(type)) : ops[op](deeper(type), deeper(type))
      case 'select':
        return ops.select(deeper(like('bool')), deeper(type), deeper(type))
      case 'madd':
        return ops.madd(deeper(type), deeper(type), deeper(type))
      case 'dot4':
        return ops.dot4(deeper(type), ops.and(deeper(type), constant(type, 0x7f7f7f7f)), deeper(type))
      case 'to_i32': {
        const from = deeper(like((['f32', 'bool'] as const)[this.pick(2)]!))
        const bounded = elementOf(from.type) === 'f32' ? this.clamp(from) : from
        return wide ? ops.to_i32x4(bounded) : ops.to_i32(bounded)
      }
      case 'to_f32': {
        const from = this.pick(3) === 0 ? deeper(like('bool')) : ops.and(deeper(like('i32')), constant(like('i32'), 511))
        return wide ? ops.to_f32x4(from) : ops.to_f32(from)
      }
      // The sign of zero is not defined in WGSL.
      case 'bits_i32':
        return wide ? ops.bits_i32x4(ops.max(deeper('f32x4'), constant('f32x4', 1))) : ops.bits_i32(ops.max(deeper('f32'), 1))
      case 'pack_bytes':
      case 'lane_i32': {
        const v = deeper('i32x4')
        const scalar = op === 'pack_bytes' ? ops.pack_bytes(v) : ops.lane_i32(v, this.pick(4))
        return wide ? ops.splat_i32(scalar) : scalar
      }
      case 'hsum':
      case 'hmax':
      case 'hmin':
      case 'lane_f32': {
        const v = deeper('f32x4')
        const scalar = op === 'lane_f32' ? ops.lane_f32(v, this.pick(4)) : ops[op](v)
        return wide ? ops.splat_f32(scalar) : scalar
      }
      default:
        return (ops[op] as (...args: readonly LoopExpr[]) => LoopExpr)(deeper(type), deeper(type))
    }
  }

  clamp(value: LoopExpr): LoopExpr {
    const c = (x: number) => constant(value.type, x)
    return ops.max(ops.min(value, c(1000)), c(-1000))
  }

  /** A value that is bound to a local: floats rounded back to the grid on which everything is exact. */
  settle(value: LoopExpr): LoopExpr {
    if (elementOf(value.type) !== 'f32') return value
    return ops.mul(ops.nearest(ops.mul(this.clamp(value), constant(value.type, 8))), constant(value.type, 0.125))
  }

  anyType(): LoopType {
    return (['i32', 'f32', 'i32x4', 'f32x4', 'bool', 'boolx4'] as const)[this.pick(6)]!
  }

  nested(body: () => void): void {
    const [visible, mutable] = [this.visible.length, this.mutable.length]
    body()
    this.visible.length = visible
    this.mutable.length = mutable
  }

  /** Two barriers around one exchange; all invocations are here. */
  exchange(): void {
    const own = ops.mul(this.invocation, 4)
    const value = this.settle(this.expr('f32x4', 2))
    if (this.pick(2) > 0) this.e.store(operand.scratch, own, value)
    else for (let lane = 0; lane < 4; lane++) this.e.store(operand.scratch, own, ops.lane_f32(value, lane), lane)
    this.e.barrier()
    const at = ops.and(this.expr('i32', 2), this.group * 4 - 1)
    const read = this.pick(2) > 0 ? load('f32x4', operand.scratch, ops.and(at, ~3)) : load('f32', operand.scratch, at)
    this.visible.push(this.e.let('shared', read))
    this.e.barrier()
  }

  statements(depth: number, uniform: boolean): void {
    for (let n = 1 + this.pick(4); n > 0; n--) this.statement(depth, uniform)
  }

  statement(depth: number, uniform: boolean): void {
    const kind = this.pick(depth > 0 ? 6 : 3)
    if (kind === 1 && this.mutable.length > 0) {
      const target = this.mutable[this.pick(this.mutable.length)]!
      this.e.set(target, this.settle(this.expr(target.type, 3)))
    } else if (kind === 2 && uniform) {
      this.exchange()
    } else if (kind === 3 || kind === 4) {
      const own = this.pick(2) > 0
      const to = own ? ops.and(this.expr('i32', 2), 3) : [symbol('n'), constant('i32', 3)][this.pick(2)]!
      this.nested(() =>
        this.e.loop('k', this.pick(2), to, 1 + this.pick(2), (k) => {
          this.visible.push(k)
          this.statements(depth - 1, uniform && !own)
        }),
      )
    } else if (kind === 5) {
      const own = this.pick(2) > 0
      const condition = own ? this.expr('bool', 2) : ops.lt(symbol('n'), 2)
      const branch = () => this.nested(() => this.statements(depth - 1, uniform && !own))
      this.e.if(condition, branch, this.pick(2) > 0 ? branch : undefined)
    } else {
      const local = this.e.let('x', this.settle(this.expr(this.anyType(), 3)))
      this.visible.push(local)
      this.mutable.push(local)
    }
  }

  results(): void {
    const at = ops.mul(this.global, outputsPerInvocation)
    this.e.store(operand.out, at, this.settle(this.expr('f32x4', 3)))
    this.e.store(operand.out, at, this.settle(this.expr('f32', 3)), 4)
    this.e.store(operand.outInts, at, this.expr('i32x4', 3), 1)
    this.e.store(operand.outInts, at, this.expr('i32', 3), 6)
  }
}

/** A function over `groups(n) = 2·n` workgroups of `group` (a power of two) invocations, with the symbol n. */
export function randomLoops(choices: readonly number[], group: number): LoopFunction {
  const builder = new Builder(choices, group)
  builder.statements(2, true)
  builder.results()
  return {
    name: 'random',
    operands: [
      { name: 'floats', element: 'f32', access: 'read', memory: { kind: 'buffer', operand: 0 } },
      { name: 'ints', element: 'i32', access: 'read', memory: { kind: 'buffer', operand: 1 } },
      { name: 'packed', element: 'i32', access: 'read', memory: { kind: 'buffer', operand: 2 }, vector: true },
      { name: 'state', element: 'f32', access: 'read', memory: { kind: 'buffer', operand: 3 } },
      { name: 'out', element: 'f32', access: 'write', memory: { kind: 'buffer', operand: 4 } },
      { name: 'outInts', element: 'i32', access: 'write', memory: { kind: 'buffer', operand: 5 } },
      scratch('scratch', group * 4),
    ],
    symbols: ['n'],
    body: builder.e.finish(),
    workgroup: group,
    grid: [[{ size: { const: 0, terms: [['n', 4]] }, divisor: 2 }]],
  }
}
