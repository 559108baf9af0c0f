// exp, log, tanh, erf, sin, cos, pow in the loop IR, for scalars and vectors alike: a target that lacks one prints it from
// here. f32 throughout, correct with and without fused madd, no infinities and no NaNs made. Polynomials: Cephes (single
// precision) for exp, log, tanh, sin, cos; erf is a minimax pair with an exponential tail. Bounds are in the tests.

import { constant, Emitter, isVector, local, ops } from './build-loops.ts'
import type { LoopExpr, LoopStmt, LoopType } from './loops.ts'

export type MathOp = 'exp' | 'log' | 'tanh' | 'erf' | 'sin' | 'cos' | 'pow'

type Float = 'f32' | 'f32x4'

const largest = 3.4028234663852886e38
const smallestNormal = 1.1754943508222875e-38

/**
 * exp gives what it gives for this for all that is larger: no infinities. It is the most whose exponent stays 127, and twice its reciprocal
 * (as in 1 + tanh) lies below the smallest normal number, as it should.
 */
export const expMost = 88.37

/** ln 2 in two parts; the first has so few bits that its product with an exponent is exact. */
const ln2 = [0.693359375, -2.1219444e-4] as const

/** π/2 in parts of 8 bits (products with |n| < 2^16 are exact) and a rest. */
const halfPi = (() => {
  const parts: number[] = []
  let rest = Math.PI / 2
  for (let i = 0; i < 4; i++) {
    const unit = 2 ** (Math.floor(Math.log2(rest)) - 7)
    const part = Math.floor(rest / unit) * unit
    parts.push(part)
    rest -= part
  }
  return [...parts, Math.fround(rest)]
})()

/** Constants and conversions of one type, and the emitter that takes the intermediate values. */
class Maths {
  readonly e: Emitter
  readonly type: Float
  constructor(e: Emitter, type: Float) {
    this.e = e
    this.type = type
  }
  get wide() {
    return isVector(this.type)
  }
  c(value: number): LoopExpr {
    return constant(this.type, value)
  }
  i(value: number): LoopExpr {
    return constant(this.wide ? 'i32x4' : 'i32', value)
  }
  toInt(x: LoopExpr): LoopExpr {
    return this.wide ? ops.to_i32x4(x) : ops.to_i32(x)
  }
  toFloat(x: LoopExpr): LoopExpr {
    return this.wide ? ops.to_f32x4(x) : ops.to_f32(x)
  }
  bitsInt(x: LoopExpr): LoopExpr {
    return this.wide ? ops.bits_i32x4(x) : ops.bits_i32(x)
  }
  bitsFloat(x: LoopExpr): LoopExpr {
    return this.wide ? ops.bits_f32x4(x) : ops.bits_f32(x)
  }
  let(name: string, x: LoopExpr): LoopExpr {
    return this.e.value(name, x)
  }
  /** Horner's scheme, highest coefficient first. */
  polynomial(x: LoopExpr, coefficients: readonly number[]): LoopExpr {
    return coefficients.slice(1).reduce((sum, k) => ops.madd(sum, x, this.c(k)), this.c(coefficients[0]!))
  }
  /** 2^n for an integral float −127 ≤ n ≤ 127; 0 at −127. */
  power2(n: LoopExpr): LoopExpr {
    return this.bitsFloat(ops.shl(ops.add(this.toInt(n), this.i(127)), 23))
  }
  /** x with the sign bit of s, for x ≥ 0. */
  withSign(x: LoopExpr, s: LoopExpr): LoopExpr {
    return this.bitsFloat(ops.or(this.bitsInt(x), ops.and(this.bitsInt(s), this.i(-0x80000000))))
  }
}

/** e^r for |r| ≤ ln2 / 2. */
function expSmall(m: Maths, r: LoopExpr): LoopExpr {
  const p = m.polynomial(r, [1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1])
  return ops.add(ops.madd(p, ops.mul(r, r), r), m.c(1))
}

/** A sum of numbers below 2^22 with this has no bits for fractions, and a whole number in its last ones. */
export const withoutFractions = 1.5 * 2 ** 23

function exp(m: Maths, [given]: readonly LoopExpr[]): LoopExpr {
  const x = m.let('x', ops.max(ops.min(given!, m.c(expMost)), m.c(-88)))
  const sum = m.let('sum', ops.madd(x, m.c(Math.LOG2E), m.c(withoutFractions)))
  const n = m.let('n', ops.sub(sum, m.c(withoutFractions)))
  const r = m.let('r', ops.madd(n, m.c(-ln2[1]), ops.madd(n, m.c(-ln2[0]), x)))
  return ops.mul(expSmall(m, r), m.bitsFloat(ops.shl(ops.add(m.bitsInt(sum), m.i(127)), 23)))
}

/** x > 0 as 2^e · (1 + f), √½ ≤ 1 + f < √2. */
function splitLog(m: Maths, given: LoopExpr): { e: LoopExpr; f: LoopExpr } {
  const tiny = m.let('tiny', ops.lt(given, m.c(smallestNormal)))
  const bits = m.let('bits', m.bitsInt(ops.select(tiny, ops.mul(given, m.c(2 ** 23)), given)))
  const mantissa = m.let('m', m.bitsFloat(ops.or(ops.and(bits, m.i(0x7fffff)), m.i(0x3f000000))))
  const low = m.let('low', ops.lt(mantissa, m.c(Math.SQRT1_2)))
  const exponent = ops.sub(m.toFloat(ops.sub(ops.and(ops.shr_u(bits, 23), m.i(255)), m.i(126))), ops.select(tiny, m.c(23), m.c(0)))
  return {
    e: m.let('e', ops.sub(exponent, m.toFloat(low))),
    f: m.let('f', ops.sub(ops.select(low, ops.add(mantissa, mantissa), mantissa), m.c(1))),
  }
}

/** ln(1 + f) − f for f of splitLog. */
function logRest(m: Maths, f: LoopExpr): LoopExpr {
  const z = m.let('z', ops.mul(f, f))
  const p = m.polynomial(
    f,
    [
      7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1,
      -2.4999993993e-1, 3.3333331174e-1,
    ],
  )
  return ops.madd(m.c(-0.5), z, ops.mul(ops.mul(f, z), p))
}

/** −f32 max for x ≤ 0. */
function log(m: Maths, [x]: readonly LoopExpr[]): LoopExpr {
  const { e, f } = splitLog(m, x!)
  const rest = m.let('rest', ops.madd(e, m.c(ln2[1]), logRest(m, f)))
  return ops.select(ops.gt(x!, m.c(0)), ops.madd(e, m.c(ln2[0]), ops.add(f, rest)), m.c(-largest))
}

function tanh(m: Maths, [x]: readonly LoopExpr[]): LoopExpr {
  const a = m.let('a', ops.min(ops.abs(x!), m.c(10)))
  const z = m.let('z', ops.mul(a, a))
  const p = m.polynomial(z, [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1])
  const small = m.let('small', ops.madd(ops.mul(p, z), a, a))
  const large = ops.sub(m.c(1), ops.div(m.c(2), ops.add(exp(m, [ops.add(a, a)]), m.c(1))))
  return m.withSign(ops.select(ops.lt(a, m.c(0.625)), small, large), x!)
}

function erf(m: Maths, [x]: readonly LoopExpr[]): LoopExpr {
  const a = m.let('a', ops.min(ops.abs(x!), m.c(4)))
  const s = m.let('s', ops.mul(a, a))
  const p = m.polynomial(s, [-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1])
  const small = m.let('small', ops.madd(p, a, a))
  const q = m.polynomial(a, [-1.7285347e-5, 3.83197126e-4, -3.88396438e-3, 2.42546219e-2, -1.06777877e-1, -6.34846687e-1, -1.28717512e-1])
  const large = ops.sub(m.c(1), exp(m, [ops.sub(ops.mul(q, a), a)]))
  return m.withSign(ops.select(ops.gt(a, m.c(0.927734375)), large, small), x!)
}

/** sin(x + quadrant·π/2); full precision to |x| = 1e5. */
function sine(m: Maths, x: LoopExpr, quadrant: 0 | 1): LoopExpr {
  const n = m.let('n', ops.nearest(ops.mul(x, m.c(2 / Math.PI))))
  const r = m.let(
    'r',
    halfPi.reduce((rest, part) => ops.madd(n, m.c(-part), rest), x),
  )
  const z = m.let('z', ops.mul(r, r))
  const q = m.let('q', ops.add(m.toInt(n), m.i(quadrant)))
  const sin = m.polynomial(z, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1])
  const cos = m.polynomial(z, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2])
  const sinR = ops.madd(ops.mul(sin, z), r, r)
  const cosR = ops.madd(ops.mul(z, z), cos, ops.madd(m.c(-0.5), z, m.c(1)))
  const value = m.bitsInt(ops.select(ops.ne(ops.and(q, m.i(1)), m.i(0)), cosR, sinR))
  return m.bitsFloat(ops.xor(value, ops.shl(ops.and(q, m.i(2)), 30)))
}

/**
 * 2^(y·log2 |x|), negative where x is negative and y odd. The product with the exponent of x is exact (y in two halves), so
 * the relative error is about (1 + |y|)·2^-23. 0^0 = 1; overflow and 0^negative give f32 max; a negative x with a fractional
 * y, which has no value, gives |x|^y.
 */
function pow(m: Maths, [x, y]: readonly LoopExpr[]): LoopExpr {
  const base = m.let('base', ops.abs(x!))
  const { e, f } = splitLog(m, base)
  const log2f = m.let('log2f', ops.mul(ops.add(f, logRest(m, f)), m.c(Math.LOG2E)))
  const high = m.let('high', m.bitsFloat(ops.and(m.bitsInt(y!), m.i(-0x1000))))
  const exact = m.let('exact', ops.mul(high, e))
  const n = m.let('n', ops.nearest(exact))
  const rest = m.let('rest', ops.add(ops.sub(exact, n), ops.madd(ops.sub(y!, high), e, ops.mul(y!, log2f))))
  const n2 = m.let('n2', ops.nearest(rest))
  const exponent = m.let('exponent', ops.max(ops.min(ops.add(n, n2), m.c(127)), m.c(-127)))
  const value = ops.mul(expSmall(m, m.let('r', ops.mul(ops.sub(rest, n2), m.c(Math.LN2)))), m.power2(exponent))
  const bounded = ops.select(ops.gt(ops.add(n, n2), m.c(127)), m.c(largest), value)
  const atZero = ops.select(ops.gt(y!, m.c(0)), m.c(0), m.c(largest))
  const size = m.let('size', ops.select(ops.eq(y!, m.c(0)), m.c(1), ops.select(ops.eq(base, m.c(0)), atZero, bounded)))
  const half = m.let('half', ops.mul(y!, m.c(0.5)))
  const odd = ops.and(ops.eq(ops.floor(y!), y!), ops.ne(ops.floor(half), half))
  return ops.select(ops.and(odd, ops.lt(x!, m.c(0))), ops.neg(size), size)
}

/** Writes the operation on float expressions of one type (f32 or f32x4); intermediate values become locals of `e`. */
export const mathOps: Readonly<Record<MathOp, (e: Emitter, type: Float, args: readonly LoopExpr[]) => LoopExpr>> = {
  exp: (e, type, args) => exp(new Maths(e, type), args),
  log: (e, type, args) => log(new Maths(e, type), args),
  tanh: (e, type, args) => tanh(new Maths(e, type), args),
  erf: (e, type, args) => erf(new Maths(e, type), args),
  sin: (e, type, args) => sine(new Maths(e, type), args[0]!, 0),
  cos: (e, type, args) => sine(new Maths(e, type), args[0]!, 1),
  pow: (e, type, args) => pow(new Maths(e, type), args),
}

export const isMathOp = (op: string): op is MathOp => Object.hasOwn(mathOps, op)

/** The operation as a function of parameters: statements, then the result. */
export function mathFunction(op: MathOp, type: LoopType): { params: readonly string[]; body: readonly LoopStmt[]; result: LoopExpr } {
  if (type !== 'f32' && type !== 'f32x4') throw new Error(`internal: ${op} of ${type}`)
  const params = op === 'pow' ? ['arg_x', 'arg_y'] : ['arg_x']
  const e = new Emitter()
  const result = mathOps[op](
    e,
    type,
    params.map((name) => local(type, name)),
  )
  return { params, body: e.finish(), result }
}
