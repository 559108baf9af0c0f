// The loop IR: typed locals, loops, loads, stores and 4-lane vectors, printed by both targets. Memory is addressed in 4-byte
// words from the start of an operand, or in halves of words (`halves`). Every value is 32 bits wide or four of those; packed formats
// are i32x4 and i32 words.
// One function is one kernel (or a part of it); WGSL runs it once per invocation, WASM once per thread.

import type { Count } from './count.ts'

export type LoopType = 'i32' | 'f32' | 'bool' | 'i32x4' | 'f32x4' | 'boolx4'

type Signature = readonly [result: 'same' | 'bool' | LoopType, arity: number, types: readonly LoopType[]]

const integers = ['i32', 'i32x4'] as const
const floats = ['f32', 'f32x4'] as const
const numbers = [...integers, ...floats] as const
const booleans = ['bool', 'boolx4'] as const

/**
 * Every operation: result type, number of arguments, allowed argument types. 'same' = the first argument's type, 'bool' = bool
 * or boolx4 after its width. Integers wrap; div and rem are signed and truncate (schedules use them on non-negative values).
 */
export const loopOps = {
  add: ['same', 2, numbers],
  sub: ['same', 2, numbers],
  mul: ['same', 2, numbers],
  div: ['same', 2, ['i32', ...floats]],
  rem: ['same', 2, ['i32']],
  min: ['same', 2, ['i32', ...floats]],
  max: ['same', 2, ['i32', ...floats]],
  and: ['same', 2, [...integers, ...booleans]],
  or: ['same', 2, [...integers, ...booleans]],
  xor: ['same', 2, integers],
  not: ['same', 1, booleans],
  /** Shift count is an i32 scalar, also for vectors. */
  shl: ['same', 2, integers],
  shr_s: ['same', 2, integers],
  shr_u: ['same', 2, integers],
  eq: ['bool', 2, ['i32', 'f32', 'i32x4', 'f32x4']],
  ne: ['bool', 2, ['i32', 'f32', 'i32x4', 'f32x4']],
  lt: ['bool', 2, numbers],
  le: ['bool', 2, numbers],
  gt: ['bool', 2, numbers],
  ge: ['bool', 2, numbers],
  neg: ['same', 1, numbers],
  abs: ['same', 1, floats],
  sqrt: ['same', 1, floats],
  rsqrt: ['same', 1, floats],
  floor: ['same', 1, floats],
  /** Round half to even. */
  nearest: ['same', 1, floats],
  /** exp clamps its argument to ≤ 88, tanh to ±10. */
  exp: ['same', 1, floats],
  log: ['same', 1, floats],
  tanh: ['same', 1, floats],
  erf: ['same', 1, floats],
  sin: ['same', 1, floats],
  cos: ['same', 1, floats],
  pow: ['same', 2, floats],
  /** a·b + c, fused or not. */
  madd: ['same', 3, floats],
  /** select(condition, yes, no): condition bool for scalars, boolx4 for vectors. */
  select: ['same', 3, numbers],
  to_f32: ['f32', 1, ['i32', 'bool']],
  to_f32x4: ['f32x4', 1, ['i32x4', 'boolx4']],
  to_i32: ['i32', 1, ['f32', 'bool']],
  to_i32x4: ['i32x4', 1, ['f32x4', 'boolx4']],
  bits_f32: ['f32', 1, ['i32']],
  bits_f32x4: ['f32x4', 1, ['i32x4']],
  bits_i32: ['i32', 1, ['f32']],
  bits_i32x4: ['i32x4', 1, ['f32x4']],
  /** The IEEE half in the low or high 16 bits of each word, exactly (denormals too). */
  half_lo_f32: ['f32', 1, ['i32']],
  half_hi_f32: ['f32', 1, ['i32']],
  half_lo_f32x4: ['f32x4', 1, ['i32x4']],
  half_hi_f32x4: ['f32x4', 1, ['i32x4']],
  splat_f32: ['f32x4', 1, ['f32']],
  splat_i32: ['i32x4', 1, ['i32']],
  splat_bool: ['boolx4', 1, ['bool']],
  /** Four scalars into a vector. */
  pack_f32: ['f32x4', 4, ['f32']],
  pack_i32: ['i32x4', 4, ['i32']],
  /** Lane 0…3 of a vector: second argument is a constant i32. */
  lane_f32: ['f32', 2, ['f32x4']],
  lane_i32: ['i32', 2, ['i32x4']],
  /** Over the four lanes: sum as (0+2)+(1+3). */
  hsum: ['f32', 1, ['f32x4']],
  hmax: ['f32', 1, ['f32x4']],
  hmin: ['f32', 1, ['f32x4']],
  /** Two steps of four such sums at once: a, b → (a0+a2, b0+b2, a1+a3, b1+b3); then of two of these, (a0+a2, a1+a3, b0+b2, b1+b3). */
  sum_halves: ['f32x4', 2, ['f32x4']],
  sum_pairs: ['f32x4', 2, ['f32x4']],
  /** dot4(a, b, acc): acc + Σ over the 4 bytes of each word of signed a times unsigned 7-bit b (both as packed words); exact. */
  dot4: ['same', 3, integers],
  /** The same with both signed. */
  dot4_signed: ['same', 3, integers],
  /**
   * The same in parts: `part = dot_open(sum)`, then `dot_part(a, b, part)` a few times, then `dot_close(part, sum)` = sum + all
   * products. What a part holds is up to the target (i32 sums that begin at `sum`, or i16 sums of neighbours that begin at 0), so
   * only these ops may take it, and its products must be few enough for i16 (`productsPerPart`).
   */
  dot_open: ['same', 1, ['i32x4']],
  dot_part: ['same', 3, ['i32x4']],
  dot_close: ['same', 2, ['i32x4']],
  /**
   * dot_less(more, less, sum) = sum + the products of one part less those of another, where i16 holds the difference; `less` may stay a
   * sum of its own: dot_rest(less) is what is still to be taken off.
   */
  dot_less: ['same', 3, ['i32x4']],
  dot_rest: ['same', 1, ['i32x4']],
  /** A part that begins at the sum of both i16 of each word. */
  dot_start: ['same', 1, ['i32x4']],
  /** dot_scaled(part, pairs, sum) = sum + part times the i16 that both halves of each word of `pairs` hold. */
  dot_scaled: ['same', 3, ['i32x4']],
  /** byte_pairs(words, byte_mask(n)): byte n of each word times 256, as two equal i16; n = 0…3. */
  byte_mask: ['i32x4', 1, ['i32']],
  byte_pairs: ['same', 2, ['i32x4']],
  /** The lower or upper eight of 16 signed bytes as i16, two a word. */
  bytes_lo: ['same', 1, ['i32x4']],
  bytes_hi: ['same', 1, ['i32x4']],
  /** dot_shorts(a, b, acc): acc + Σ over both i16 of each word of a times those of b. */
  dot_shorts: ['same', 3, ['i32x4']],
  /** The lower or upper four i16 of a and of b in turn, and eight i32 as i16, at most 32767 in size. */
  zip_lo: ['same', 2, ['i32x4']],
  zip_hi: ['same', 2, ['i32x4']],
  pack_shorts: ['same', 2, ['i32x4']],
  /** Low bytes of four lanes into one word, lane 0 lowest. */
  pack_bytes: ['i32', 1, ['i32x4']],
} as const satisfies Record<string, Signature>

export type LoopOp = keyof typeof loopOps

/** Ops that only mean something together: what passes between them is the target's own. */
export const partOps: ReadonlySet<LoopOp> = new Set([
  'dot_open',
  'dot_part',
  'dot_close',
  'dot_less',
  'dot_rest',
  'dot_start',
  'dot_scaled',
  'byte_mask',
  'byte_pairs',
])

export type LoopExpr =
  | { readonly kind: 'const'; readonly type: LoopType; readonly value: number }
  | { readonly kind: 'local'; readonly type: LoopType; readonly name: string }
  /** An entry symbol, i32. */
  | { readonly kind: 'symbol'; readonly type: 'i32'; readonly name: string }
  /**
   * `invocation`: index inside the workgroup (0 on WASM). `group`: index of the workgroup in dimension 0, 1, 2. `from`, `to`: the rows of this
   * call (WASM row blocks). `lanes`: the invocations of this one's subgroup: a power of two, `Machine.leastSubgroup` or more, those with
   * the numbers n·lanes … n·lanes + lanes - 1.
   */
  | {
      readonly kind: 'builtin'
      readonly type: 'i32'
      readonly name: 'invocation' | 'group_x' | 'group_y' | 'group_z' | 'from' | 'to' | 'lanes'
    }
  | { readonly kind: 'op'; readonly type: LoopType; readonly op: LoopOp; readonly args: readonly LoopExpr[] }
  /**
   * Words [at + offset …) of an operand: 1 word, or 4 for a vector type. Vector loads need no alignment beyond 4 bytes unless `aligned`.
   * `halves`: `at` and `offset` count 16 bits, the type is i32 or i32x4, the sign bit is extended; no alignment beyond 2 bytes.
   */
  | {
      readonly kind: 'load'
      readonly type: LoopType
      readonly operand: number
      readonly at: LoopExpr
      readonly offset: number
      readonly aligned?: boolean
      readonly halves?: boolean
    }

export type LoopStmt =
  /** Declares a local (of the function, names are unique); `set` assigns it again. */
  | { readonly kind: 'let'; readonly name: string; readonly type: LoopType; readonly value: LoopExpr }
  | { readonly kind: 'set'; readonly name: string; readonly value: LoopExpr }
  | {
      readonly kind: 'store'
      readonly operand: number
      readonly at: LoopExpr
      readonly offset: number
      readonly value: LoopExpr
      readonly aligned?: boolean
      /** As for loads: the low 16 bits of each value are stored. They are 0 above. */
      readonly halves?: boolean
    }
  /** for (variable = from; variable < to; variable += step): the bounds are evaluated once; step is a positive constant. */
  | {
      readonly kind: 'loop'
      readonly variable: string
      readonly from: LoopExpr
      readonly to: LoopExpr
      readonly step: number
      readonly body: readonly LoopStmt[]
    }
  | { readonly kind: 'if'; readonly condition: LoopExpr; readonly yes: readonly LoopStmt[]; readonly no?: readonly LoopStmt[] }
  /** All invocations of a workgroup wait and see each other's writes to scratch and operands. In uniform control flow only. */
  | { readonly kind: 'barrier' }
  /**
   * Declares a local: the value of a workgroup's first invocation, for all of them, so that it may decide about barriers. It is a barrier
   * itself, for scratch memory; in uniform control flow only.
   */
  | { readonly kind: 'uniform'; readonly name: string; readonly type: 'i32'; readonly value: LoopExpr }
  | SubgroupStmt

/**
 * Declares a local: what the values of a subgroup's invocations come to, for all of them, in whatever order; or, for a swap, the value of
 * the invocation whose number differs in one bit, `by` (anything where that one is of another subgroup). In uniform control flow only.
 */
export interface SubgroupStmt {
  readonly kind: 'subgroup'
  readonly name: string
  readonly type: SubgroupType
  readonly how: 'sum' | 'max' | 'min' | { readonly by: number }
  readonly value: LoopExpr
}

export type SubgroupType = 'i32' | 'f32' | 'f32x4'

interface Scratch {
  readonly kind: 'scratch'
  readonly words: number
  readonly shared?: true
}

export interface LoopOperand {
  readonly name: string
  /** Word type of the memory; loads of other types are bit casts. */
  readonly element: 'f32' | 'i32'
  readonly access: 'read' | 'write' | 'readwrite'
  /**
   * 'buffer': operand of the kernel, by its index in Kernel.operands. 'scratch': private to one call (WASM: in the arena) or
   * one workgroup (WGSL: workgroup memory), of `words` words; `shared`: of all rows of a launch, for what `join` reads.
   */
  readonly memory: { readonly kind: 'buffer'; readonly operand: number } | Scratch
  /** True where every vector access is 16-byte aligned (packed weights). Scratch memory of this kind is only stored to by vectors. */
  readonly vector?: boolean
}

export interface LoopFunction {
  readonly name: string
  readonly operands: readonly LoopOperand[]
  readonly symbols: readonly string[]
  readonly body: readonly LoopStmt[]
  /** WGSL: invocations per workgroup, and the workgroups of each dimension as products of ⌈size / divisor⌉. */
  readonly workgroup: number
  readonly grid: readonly Count[]
  /** WASM: the axis that may be cut into row blocks `from … to`; extent in units of `unit` rows. Absent: called once. */
  readonly rows?: { readonly count: Count; readonly unit: number }
  /** WASM: joins what the rows left in shared scratch memory, once all of them are done. Has the same operands. */
  readonly join?: LoopFunction
}

/** The functions of a launch, in order. */
export const partsOf = (fn: LoopFunction): readonly LoopFunction[] => (fn.join ? [fn, fn.join] : [fn])
