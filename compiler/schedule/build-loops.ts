// Typed constructors of the loop IR for schedules: `ops` (one function per row of the table loopOps), constants, loads, and the
// Emitter, which collects statements and gives locals unique names. Integer arithmetic is simplified while it is built:
// constants fold, x+0, x*1, x*2^n as a shift, constant parts of an address move into `offset`. Floats are never rewritten
// (−0 and rounding). A loop whose constant bounds give one trip is replaced by its body, one with none vanishes.

import {
  type LoopExpr,
  type LoopOp,
  type LoopOperand,
  type LoopStmt,
  type LoopType,
  loopOps,
  type SubgroupStmt,
  type SubgroupType,
} from './loops.ts'

/** A number stands for a constant of the type that the other arguments have (i32 where they do not say). */
export type LoopArg = LoopExpr | number

type Tuple<N extends number> = N extends 1
  ? [LoopArg]
  : N extends 2
    ? [LoopArg, LoopArg]
    : N extends 3
      ? [LoopArg, LoopArg, LoopArg]
      : [LoopArg, LoopArg, LoopArg, LoopArg]

export type LoopOps = { readonly [Op in LoopOp]: (...args: Tuple<(typeof loopOps)[Op][1]>) => LoopExpr }

const vectorOf: Record<LoopType, LoopType> = {
  i32: 'i32x4',
  f32: 'f32x4',
  bool: 'boolx4',
  i32x4: 'i32x4',
  f32x4: 'f32x4',
  boolx4: 'boolx4',
}
const scalarOf: Record<LoopType, LoopType> = { i32: 'i32', f32: 'f32', bool: 'bool', i32x4: 'i32', f32x4: 'f32', boolx4: 'bool' }

export const isVector = (type: LoopType): boolean => vectorOf[type] === type
export const widen = (type: LoopType): LoopType => vectorOf[type]
export const elementOf = (type: LoopType): LoopType => scalarOf[type]

/** A constant; for vector types all four lanes. i32 wraps to 32 bits, f32 is rounded to f32, bool is 0 or 1. */
export function constant(type: LoopType, value: number): LoopExpr {
  const element = scalarOf[type]
  return { kind: 'const', type, value: element === 'f32' ? Math.fround(value) : element === 'i32' ? value | 0 : value ? 1 : 0 }
}

export const i32 = (value: number): LoopExpr => constant('i32', value)
export const f32 = (value: number): LoopExpr => constant('f32', value)
export const local = (type: LoopType, name: string): LoopExpr => ({ kind: 'local', type, name })
export const symbol = (name: string): LoopExpr => ({ kind: 'symbol', type: 'i32', name })
export const builtin = (name: (LoopExpr & { kind: 'builtin' })['name']): LoopExpr => ({ kind: 'builtin', type: 'i32', name })

/**
 * A load of the words [at + offset …) of operand number `operand`; the constant part of `at` goes into the offset.
 * A vector type loads four consecutive words; `splat_f32(load('f32', …))` becomes one load-and-splat on WASM.
 */
export function load(type: LoopType, operand: number, at: LoopArg, offset = 0, aligned = false): LoopExpr {
  return { kind: 'load', type, operand, ...address(at, offset), ...(aligned ? { aligned } : {}) }
}

/** One half of a word, or four neighbours (`i32x4`), by the number of the half. */
export function loadHalves(type: 'i32' | 'i32x4', operand: number, at: LoopArg): LoopExpr {
  return { kind: 'load', type, operand, ...address(at, 0), halves: true }
}

const isConst = (e: LoopExpr, value?: number): e is LoopExpr & { kind: 'const' } =>
  e.kind === 'const' && (value === undefined || e.value === value)
const isOp = (e: LoopExpr, op: LoopOp): e is LoopExpr & { kind: 'op' } => e.kind === 'op' && e.op === op

/** e as rest + constant, looking through sums, products by constants and shifts (all modulo 2^32). */
function splitConstant(e: LoopExpr): { rest: LoopExpr; plus: number } {
  if (isConst(e)) return { rest: i32(0), plus: e.value }
  if (isOp(e, 'add')) {
    const [a, b] = e.args.map(splitConstant) as [ReturnType<typeof splitConstant>, ReturnType<typeof splitConstant>]
    if (a.plus === 0 && b.plus === 0) return { rest: e, plus: 0 }
    return { rest: make('add', [a.rest, b.rest]), plus: (a.plus + b.plus) | 0 }
  }
  const by = e.kind === 'op' ? e.args[1] : undefined
  if (by && isConst(by) && (isOp(e, 'mul') || isOp(e, 'shl'))) {
    const inner = splitConstant(e.args[0]!)
    if (inner.plus !== 0) {
      return { rest: make(e.op, [inner.rest, by]), plus: e.op === 'mul' ? Math.imul(inner.plus, by.value) : inner.plus << by.value }
    }
  }
  return { rest: e, plus: 0 }
}

/** Only a positive sum moves: the immediate of a WASM load is unsigned. */
function address(at: LoopArg, offset: number): { at: LoopExpr; offset: number } {
  const whole = typeof at === 'number' ? i32(at) : at
  const { rest, plus } = splitConstant(whole)
  const total = plus + offset
  return total >= 0 ? { at: rest, offset: total } : { at: make('add', [rest, i32(total)]), offset: 0 }
}

const folds: Partial<Record<LoopOp, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: Math.imul,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => a << b,
  shr_s: (a, b) => a >> b,
  shr_u: (a, b) => a >>> b,
  min: Math.min,
  max: Math.max,
  eq: (a, b) => Number(a === b),
  ne: (a, b) => Number(a !== b),
  lt: (a, b) => Number(a < b),
  le: (a, b) => Number(a <= b),
  gt: (a, b) => Number(a > b),
  ge: (a, b) => Number(a >= b),
  div: (a, b) => Math.trunc(a / b),
  rem: (a, b) => a % b,
}

/** Rewrites of integer operations of two arguments; undefined where none applies. */
function simplify(op: LoopOp, type: LoopType, a: LoopExpr, b: LoopExpr): LoopExpr | undefined {
  const fold = folds[op]
  if (fold && isConst(a) && isConst(b) && !((op === 'div' || op === 'rem') && b.value === 0)) return constant(type, fold(a.value, b.value))
  if (op === 'add') {
    if (isConst(a)) return make('add', [b, a])
    if (isConst(b, 0)) return a
    if (isConst(b) && isOp(a, 'add') && isConst(a.args[1]!)) return make('add', [a.args[0]!, constant(type, b.value + a.args[1].value)])
  }
  if ((op === 'and' && isConst(b, 0)) || (op === 'or' && isConst(a, 0))) return b
  if (op === 'or' && isConst(b, 0)) return a
  if (op === 'sub' && isConst(b)) return make('add', [a, constant(type, -b.value)])
  if (op === 'mul') {
    if (isConst(a)) return make('mul', [b, a])
    if (isConst(b, 0)) return b
    if (isConst(b, 1)) return a
    if (isConst(b) && b.value > 1 && (b.value & (b.value - 1)) === 0) return make('shl', [a, i32(Math.log2(b.value))])
  }
  if ((op === 'shl' || op === 'shr_s' || op === 'shr_u') && isConst(b, 0)) return a
  if ((op === 'shl' || op === 'mul') && isConst(a, 0)) return a
  if (op === 'div' && isConst(b, 1)) return a
  if (op === 'rem' && isConst(b, 1)) return i32(0)
  return undefined
}

/** The result type of an operation on arguments of these types; throws `internal:` if the table does not allow them. */
export function resultType(op: LoopOp, types: readonly LoopType[]): LoopType {
  const [result, arity, allowed] = loopOps[op] as readonly [string, number, readonly LoopType[]]
  const fail = () => new Error(`internal: loop op ${op} does not take (${types.join(', ')})`)
  if (types.length !== arity) throw fail()
  const key = op === 'select' ? types[1]! : types[0]!
  if (!allowed.includes(key)) throw fail()
  const expected = types.map((_, i) => {
    if (i === 1 && (op === 'shl' || op === 'shr_s' || op === 'shr_u' || op === 'lane_f32' || op === 'lane_i32')) return 'i32'
    return op === 'select' && i === 0 ? (isVector(key) ? 'boolx4' : 'bool') : key
  })
  if (expected.some((t, i) => t !== types[i])) throw fail()
  return result === 'same' ? key : result === 'bool' ? (isVector(key) ? 'boolx4' : 'bool') : (result as LoopType)
}

function make(op: LoopOp, args: readonly LoopExpr[]): LoopExpr {
  const type = resultType(
    op,
    args.map((a) => a.type),
  )
  const [a, b, c] = args as [LoopExpr, LoopExpr?, LoopExpr?]
  if (b && !c && scalarOf[a.type] === 'i32' && scalarOf[b.type] === 'i32') {
    const simpler = simplify(op, type, a, b)
    if (simpler) return simpler
  }
  if (op === 'select' && isConst(a)) return a.value ? b! : c!
  if (op === 'neg' && isConst(a) && scalarOf[type] === 'i32') return constant(type, -a.value)
  if ((op === 'splat_f32' || op === 'splat_i32' || op === 'splat_bool') && isConst(a)) return constant(type, a.value)
  if ((op === 'and' || op === 'or') && scalarOf[type] === 'bool') {
    for (const [x, y] of [
      [a, b!],
      [b!, a],
    ] as const)
      if (isConst(x)) return (op === 'and') === (x.value === 1) ? y : x
  }
  return { kind: 'op', type, op, args }
}

/** What a bare number means at place `place` of `op`, given the arguments that have types. */
function numberType(op: LoopOp, args: readonly LoopArg[], place: number): LoopType {
  if (place === 1 && /^(shl|shr_[su]|lane_.*)$/.test(op)) return 'i32'
  const allowed = loopOps[op][2] as readonly LoopType[]
  const typed = args.find((a, i) => typeof a !== 'number' && !(op === 'select' && i === 0)) as LoopExpr | undefined
  if (typed) return typed.type
  return allowed.includes('i32') ? 'i32' : allowed[0]!
}

/**
 * One constructor per loop op, e.g. `ops.add(x, 1)`, `ops.madd(a, b, c)`. Types are checked against the table at once.
 * dot4(a, b, acc): a holds signed bytes, b unsigned 7-bit ones. select(condition, yes, no). lane_f32(vector, 0…3).
 */
export const ops = Object.fromEntries(
  (Object.keys(loopOps) as LoopOp[]).map((op) => [
    op,
    (...args: LoopArg[]) =>
      make(
        op,
        args.map((a, i) => (typeof a === 'number' ? constant(numberType(op, args, i), a) : a)),
      ),
  ]),
) as unknown as LoopOps

/** A buffer operand. `operand` is its index in Kernel.operands. */
export function buffer(
  name: string,
  operand: number,
  access: LoopOperand['access'],
  element: 'f32' | 'i32' = 'f32',
  vector = false,
): LoopOperand {
  return { name, element, access, memory: { kind: 'buffer', operand }, ...(vector ? { vector } : {}) }
}

export const scratch = (name: string, words: number, element: 'f32' | 'i32' = 'f32', shared = false): LoopOperand => ({
  name,
  element,
  access: 'readwrite',
  memory: { kind: 'scratch', words, ...(shared ? { shared } : {}) },
})

/** Collects the statements of one function. Names given are hints: the second `x` becomes `x_2`. */
export class Emitter {
  #names = new Map<string, number>()
  #taken = new Set<string>()
  #out: LoopStmt[] = []

  #unique(hint: string): string {
    for (;;) {
      const n = (this.#names.get(hint) ?? 0) + 1
      this.#names.set(hint, n)
      const name = n === 1 ? hint : `${hint}_${n}`
      if (!this.#taken.has(name)) {
        this.#taken.add(name)
        return name
      }
    }
  }

  /** Declares a local with this first value. */
  let(hint: string, value: LoopExpr): LoopExpr {
    const name = this.#unique(hint)
    this.#out.push({ kind: 'let', name, type: value.type, value })
    return local(value.type, name)
  }

  /** As `let` for a value that is never set again: constants and locals are given back as they are. */
  value(hint: string, value: LoopExpr): LoopExpr {
    return value.kind === 'const' || value.kind === 'local' || value.kind === 'symbol' || value.kind === 'builtin'
      ? value
      : this.let(hint, value)
  }

  set(target: LoopExpr, value: LoopArg): void {
    if (target.kind !== 'local') throw new Error('internal: set of something that is not a local')
    const typed = typeof value === 'number' ? constant(target.type, value) : value
    if (typed.type !== target.type) throw new Error(`internal: set of ${target.name}: ${target.type} to ${typed.type}`)
    this.#out.push({ kind: 'set', name: target.name, value: typed })
  }

  store(operand: number, at: LoopArg, value: LoopExpr, offset = 0, aligned = false): void {
    this.#out.push({ kind: 'store', operand, ...address(at, offset), value, ...(aligned ? { aligned } : {}) })
  }

  /** Halves of words, by the number of the (first) half; the values' upper bits are 0. */
  storeHalves(operand: number, at: LoopArg, value: LoopExpr): void {
    this.#out.push({ kind: 'store', operand, ...address(at, 0), value, halves: true })
  }

  /** for (k = from; k < to; k += step). The body is given k. */
  loop(hint: string, from: LoopArg, to: LoopArg, step: number, body: (k: LoopExpr) => void): void {
    const [first, last] = [from, to].map((x) => (typeof x === 'number' ? i32(x) : x)) as [LoopExpr, LoopExpr]
    if (isConst(first) && isConst(last)) {
      if (first.value >= last.value) return
      if (first.value + step >= last.value) {
        body(first)
        return
      }
    }
    const variable = this.#unique(hint)
    this.#out.push({ kind: 'loop', variable, from: first, to: last, step, body: this.#collect(() => body(local('i32', variable))) })
  }

  if(condition: LoopExpr, yes: () => void, no?: () => void): void {
    if (isConst(condition)) {
      if (condition.value) yes()
      else no?.()
      return
    }
    const [then, otherwise] = [this.#collect(yes), no ? this.#collect(no) : []]
    this.#out.push({ kind: 'if', condition, yes: then, ...(otherwise.length > 0 ? { no: otherwise } : {}) })
  }

  barrier(): void {
    this.#out.push({ kind: 'barrier' })
  }

  /** An i32 that all invocations of a workgroup have, known to be the same for all of them. */
  uniform(hint: string, value: LoopExpr): LoopExpr {
    const name = this.#unique(hint)
    this.#out.push({ kind: 'uniform', name, type: 'i32', value })
    return local('i32', name)
  }

  /** What the values of a subgroup come to, or the value that is swapped for this one. */
  subgroup(hint: string, how: SubgroupStmt['how'], value: LoopExpr): LoopExpr {
    const type = value.type as SubgroupType
    const name = this.#unique(hint)
    this.#out.push({ kind: 'subgroup', name, type, how, value })
    return local(type, name)
  }

  /** The statements so far. */
  finish(): readonly LoopStmt[] {
    return this.#out
  }

  #collect(body: () => void): readonly LoopStmt[] {
    const outer = this.#out
    this.#out = []
    body()
    const inner = this.#out
    this.#out = outer
    return inner
  }
}
