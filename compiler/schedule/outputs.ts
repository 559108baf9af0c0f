// What every schedule ends with: storing an output at the current point, rounding a block of activations to 8 bits, and the
// function around the statements.

import type { AxisId, Kernel, Output } from '../kernel/types.ts'
import { type IndexScope, strideOf } from '../kernel/index-map.ts'
import { buffer, constant, type Emitter, ops, scratch } from './build-loops.ts'
import type { LoopExpr, LoopFunction } from './loops.ts'
import { a8, centred, d8, isByteFormat } from './activation-blocks.ts'
import { toHalf } from './halves.ts'
import { elementOf, toWords } from './scalar-calls.ts'
import type { Scope } from './scope.ts'
import { divisorOf, nearestQuants, roundBlock, storeStateBlock } from './state-blocks.ts'

/** True if neighbours along `axis` are neighbours in the output's memory. */
export function isContiguous(scope: IndexScope, output: Output, axis: AxisId): boolean {
  const last = output.index.length - 1
  return output.index.every((index, i) => strideOf(index, axis, scope) === (i === last ? 1 : 0))
}

/** Stores one element, or four along `lane`. */
export function storeOutput(scope: Scope, output: Output, lane?: AxisId): void {
  const operand = scope.kernel.operands[output.operand]!
  const e = scope.emitter
  const store = (value: LoopExpr): void => {
    const at = scope.flat(operand, output.index)
    if (operand.format === 'f16') e.storeHalves(output.operand, at, toHalf(e, value))
    else e.store(output.operand, at, toWords(value))
  }
  if (lane === undefined) {
    const write = (): void => store(scope.scalar(output.value))
    if (output.guard) e.if(scope.scalar(output.guard), () => scope.nested(write))
    else write()
    return
  }
  if (!output.guard && isContiguous(scope.index, output, lane)) {
    store(scope.vector(output.value, lane))
    return
  }
  const values = scope.vector(output.value, lane)
  const words = toWords(values)
  const guards = output.guard && toWords(scope.vector(output.guard, lane))
  const base = scope.axes.get(lane)!
  for (let i = 0; i < 4; i++) {
    const word = words.type === 'f32x4' ? ops.lane_f32(words, i) : ops.lane_i32(words, i)
    const write = (): void => scope.at([[lane, ops.add(base, i)]], () => store(word))
    if (guards) e.if(ops.ne(ops.lane_i32(guards, i), 0), write)
    else write()
  }
}

/** Whether an output is stored in blocks of 32 numbers. */
export const isInBlocks = ({ operands }: Kernel, { operand }: Output): boolean => {
  const { format } = operands[operand]!
  return format === 's8' || isByteFormat(format)
}

/** Rounds 32 values to 8 bits and stores the block at the current point. */
export function storeBlock(scope: Scope, output: Output, values: readonly LoopExpr[]): void {
  const operand = scope.kernel.operands[output.operand]!
  if (operand.format === 'a8') storeByteBlock(scope, output, values)
  else storeStateBlock(scope.emitter, operand, output.operand, scope.flat(operand, output.index), values)
}

/** The same by one invocation of a workgroup, for the output's values along `lane` from its current value on. */
export function storeBlockAlong(scope: Scope, output: Output, lane: AxisId): void {
  if (scope.kernel.operands[output.operand]!.format !== 'd8') return storeBlock(scope, output, blockValues(scope, output, lane))
  const start = scope.axes.get(lane)!
  storeDotBlock(scope, output, (place) => scope.at([[lane, ops.add(start, place)]], () => scope.scalar(output.value)))
}

/**
 * Rounds 32 numbers and stores the block at the current point: d = absmax / 127, q = nearest(x / d). They are asked for twice, once for
 * the largest and once to be rounded: a loop has no place for 32 of them.
 */
export function storeDotBlock(scope: Scope, output: Output, number: (place: LoopExpr) => LoopExpr): void {
  const e = scope.emitter
  if (output.guard) {
    const { guard, ...rest } = output
    e.if(scope.scalar(guard), () => scope.nested(() => storeDotBlock(scope, rest, number)))
    return
  }
  const operand = scope.kernel.operands[output.operand]!
  const at = e.let('at', ops.mul(ops.shr_u(scope.flat(operand, output.index), 5), d8.words))
  const largest = e.let('largest', constant('f32', 0))
  e.loop('i', 0, d8.k, 1, (i) => scope.nested(() => e.set(largest, ops.max(largest, ops.abs(number(i))))))
  const d = e.let('d', ops.div(largest, constant('f32', 127)))
  const safe = e.let('safe', divisorOf(d))
  e.loop('i', 0, d8.k, 4, (i) =>
    scope.nested(() => {
      const [a, b, c, last] = [0, 1, 2, 3].map((n) => number(ops.add(i, n))) as [LoopExpr, LoopExpr, LoopExpr, LoopExpr]
      e.store(output.operand, ops.add(at, ops.shr_u(i, 2)), ops.pack_bytes(nearestQuants(ops.pack_f32(a, b, c, last), safe)))
    }),
  )
  e.store(output.operand, at, d, d8.scale)
}

/** The output's 32 values along `lane` from its current value on, as vectors. */
export function blockValues(scope: Scope, output: Output, lane: AxisId): LoopExpr[] {
  const start = scope.axes.get(lane)!
  return Array.from({ length: a8.k / 4 }, (_, i) =>
    scope.at([[lane, ops.add(start, 4 * i)]], () => scope.emitter.value('x', scope.vector(output.value, lane))),
  )
}

/**
 * Rounds 32 values to 8 bits and stores the block at the current point: d = absmax / 127, q = nearest(x / d), as the graph's
 * `quantise` defines it. d is cut at 2^14, so that its factor cannot overflow.
 */
function storeByteBlock(scope: Scope, output: Output, values: readonly LoopExpr[]): void {
  const e = scope.emitter
  const operand = scope.kernel.operands[output.operand]!
  const { scale: d, quants } = roundBlock(e, values, 2 ** 14)
  const at = e.let('at', ops.mul(ops.shr_u(scope.flat(operand, output.index), 5), a8.words))
  const zero = constant('i32x4', 0)
  const sums = [e.let('sum', zero), e.let('sum', zero)]
  for (const i of values.keys()) {
    const sum = sums[i >> 2]!
    const q = quants(i, 1)[0]!
    const negative = e.let('negative', ops.neg(q))
    e.set(sum, ops.add(sum, q))
    e.store(output.operand, at, ops.pack_bytes(q), i)
    e.store(output.operand, at, ops.pack_bytes(ops.select(ops.gt(q, zero), q, zero)), a8.positive + i)
    e.store(output.operand, at, ops.pack_bytes(ops.select(ops.gt(negative, zero), negative, zero)), a8.negative + i)
  }
  const store = (word: number, value: LoopExpr): void => e.store(output.operand, at, value, word)
  const scaled = e.let('scaled', ops.mul(d, constant('f32', a8.factor)))
  store(a8.step, d)
  store(a8.scale, scaled)
  // At most 16 * 127 each: exact as floats.
  const halves = sums.map((sum) => e.let('half', ops.hsum(ops.to_f32x4(sum))))
  const total = e.let('total', ops.add(halves[0]!, halves[1]!))
  store(a8.total, ops.mul(d, total))
  store(a8.sum, ops.mul(scaled, total))
  // Of each half, over even and over odd places.
  const pairs = sums.map((sum) => [0, 2].map((from) => e.let('pair', ops.add(ops.lane_i32(sum, from), ops.lane_i32(sum, from + 1)))))
  const both = [0, 1].map((i) => e.let('pair', ops.add(pairs[0]![i]!, pairs[1]![i]!)))
  for (const [centre, words] of Object.entries(centred)) {
    for (const [part, word] of words.entries()) {
      const [even, odd] = (words.length === 1 ? both : pairs[part]!).map((pair) => ops.mul(pair, -centre))
      store(word, ops.or(ops.and(even!, 0xffff), ops.shl(odd!, 16)))
    }
  }
}

interface Shape {
  readonly workgroup?: number
  readonly grid?: LoopFunction['grid']
  readonly rows?: LoopFunction['rows']
  readonly scratch?: readonly number[]
  /** Which of these all rows share. */
  readonly shared?: ReadonlySet<number>
  readonly join?: LoopFunction
  /** Plain operands and scratch memory of which four words at a time begin at multiples of four. */
  readonly vectors?: ReadonlySet<number>
}

/** The function of a kernel: its operands in the kernel's order, then scratch memory. */
export function kernelFunction(kernel: Kernel, emitter: Emitter, shape: Shape): LoopFunction {
  const operands = kernel.operands.map((operand, i) => {
    const element = operand.format === 'f32' && operand.dtype !== 'i32' && operand.dtype !== 'bool' ? elementOf(operand.dtype) : 'i32'
    return buffer(`o${i}`, i, operand.access, element, operand.layout === 'r8' || shape.vectors?.has(i) === true)
  })
  return {
    name: kernel.name,
    operands: [
      ...operands,
      ...(shape.scratch ?? []).map((words, i) => ({
        ...scratch(`scratch${i}`, words, 'f32', shape.shared?.has(i)),
        ...(shape.vectors?.has(operands.length + i) ? { vector: true } : {}),
      })),
    ],
    symbols: [...symbolsOf(kernel)].sort(),
    body: emitter.finish(),
    workgroup: shape.workgroup ?? 1,
    grid: shape.grid ?? [],
    ...(shape.rows ? { rows: shape.rows } : {}),
    ...(shape.join ? { join: shape.join } : {}),
  }
}

/** Every entry symbol that a kernel mentions, in sizes or in indices. */
function symbolsOf(kernel: Kernel): Set<string> {
  const found = new Set<string>()
  const seen = new Set<unknown>()
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || seen.has(value)) return
    seen.add(value)
    const record = value as Record<string, unknown>
    if (record['kind'] === 'symbol' && typeof record['name'] === 'string') found.add(record['name'])
    if (Array.isArray(record['terms']) && typeof record['const'] === 'number')
      for (const [name] of record['terms'] as [string, number][]) found.add(name)
    for (const child of Object.values(record)) visit(child)
  }
  visit(kernel)
  return found
}
