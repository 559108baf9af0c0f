// The sampler's walks over a vocabulary for one invocation with vectors, as WebAssembly runs them; what is left of a draw is the
// runtime's own (runtime/candidates.ts), whose walks (runtime/weighing.ts) give the same bits. How many scores there are is a symbol: one
// function serves all entries.

import * as affine from '../../dsl/affine.ts'
import { blockIds, powerOf2, powerTerms } from '../../runtime/artifact/wasm-sampler.ts'
import { buffer, builtin, constant, Emitter, f32, i32, load, ops, symbol } from '../schedule/build-loops.ts'
import type { LoopExpr, LoopFunction } from '../schedule/loops.ts'

const lanes = 4
/** Ids of a step that passes over what is too light. */
const step = 16
const zero = constant('f32x4', 0)

/** The ids of a block: from, to, and where the whole vectors end. */
function blockOf(e: Emitter, block: LoopExpr, unit: number): Record<'first' | 'end' | 'whole', LoopExpr> {
  const first = e.value('first', ops.mul(block, blockIds))
  const end = e.value('end', ops.min(ops.add(first, blockIds), symbol('count')))
  return { first, end, whole: e.value('whole', ops.and(end, i32(-unit))) }
}

/** 2^((score − top) · rate), of one or four: each operation as in runtime/weighing.ts. NaNs stay. */
function weight(e: Emitter, score: LoopExpr, top: LoopExpr, rate: LoopExpr): LoopExpr {
  const wide = score.type === 'f32x4'
  const c = (value: number): LoopExpr => constant(score.type, value)
  const [bits, real] = wide ? [ops.bits_i32x4, ops.bits_f32x4] : [ops.bits_i32, ops.bits_f32]
  const power = e.value('power', ops.mul(ops.sub(score, top), rate))
  const within = e.value('within', ops.max(power, c(powerOf2.least)))
  const rounded = e.value('rounded', ops.add(within, c(powerOf2.rounder)))
  const rest = e.value('part', ops.sub(within, ops.sub(rounded, c(powerOf2.rounder))))
  const [last, ...others] = [...powerTerms].reverse() as [number, ...number[]]
  // Products and sums, never fused.
  const sum = others.reduce((value, term) => ops.add(ops.mul(value, rest), c(term)), c(last))
  const value = real(ops.add(bits(sum), ops.shl(bits(rounded), 23)))
  return e.value('weight', ops.select(ops.lt(power, c(powerOf2.least)), c(0), value))
}

/**
 * Operands: scores [count], which become weights, e^((score − top) / temperature), in place; for each block four sums and four maxima of them, of the ids with equal
 * remainders by 4. `top`, the highest score, and
 * `rate` are bits.
 */
export function weighLanes(): LoopFunction {
  const [weights, sums, maxima] = [0, 1, 2]
  const e = new Emitter()
  const [top, rate] = ['top', 'rate'].map((name) => e.value(name, ops.bits_f32(symbol(name)))) as [LoopExpr, LoopExpr]
  const [tops, rates] = [top, rate].map((value) => e.value('all', ops.splat_f32(value))) as [LoopExpr, LoopExpr]
  e.loop('block', builtin('from'), builtin('to'), 1, (block) => {
    const { first, end, whole } = blockOf(e, block, lanes)
    const [sum, most] = [e.let('sum', zero), e.let('most', zero)]
    const add = (value: LoopExpr): void => {
      e.set(sum, ops.add(sum, value))
      e.set(most, ops.max(most, value))
    }
    e.loop('id', first, whole, lanes, (id) => {
      const value = weight(e, load('f32x4', weights, id), tops, rates)
      e.store(weights, id, value)
      add(value)
    })
    e.if(ops.lt(whole, end), () => {
      const rest = Array.from({ length: lanes - 1 }, (_, i) => {
        const value = e.let('last', f32(0))
        e.if(ops.lt(ops.add(whole, i), end), () => {
          e.set(value, weight(e, load('f32', weights, whole, i), top, rate))
          e.store(weights, whole, value, i)
        })
        return value
      })
      add(e.value('rest', ops.pack_f32(...(rest as [LoopExpr, LoopExpr, LoopExpr]), f32(0))))
    })
    e.store(sums, ops.mul(block, lanes), sum)
    e.store(maxima, ops.mul(block, lanes), most)
  })
  return {
    name: 'sampler_weigh',
    operands: [buffer('weights', 0, 'readwrite'), buffer('sums', 1, 'write'), buffer('maxima', 2, 'write')],
    body: e.finish(),
    symbols: ['count', 'top', 'rate'],
    workgroup: 1,
    grid: [],
    rows: { count: [{ size: affine.symbol('count'), divisor: blockIds }], unit: 1 },
  }
}

/** Operands: weights [count] and maxima as `weighLanes` left them; ids [count + 2]: how many have weights from `least` (bits) on, then which, ascending. */
export function collectLanes(): LoopFunction {
  const [weights, maxima, ids] = [0, 1, 2]
  const e = new Emitter()
  const least = e.value('least', ops.bits_f32(symbol('least')))
  const found = e.let('found', i32(0))
  const look = (from: LoopExpr, to: LoopExpr): void =>
    e.loop('id', from, to, 1, (id) => {
      e.store(ids, found, id, 1)
      e.set(found, ops.add(found, ops.to_i32(ops.ge(load('f32', weights, id), least))))
    })
  const vector = (from: LoopExpr, nth: number): LoopExpr => load('f32x4', weights, from, nth * lanes)
  e.loop('block', 0, ops.div(ops.add(symbol('count'), blockIds - 1), i32(blockIds)), 1, (block) =>
    e.if(ops.ge(ops.hmax(load('f32x4', maxima, ops.mul(block, lanes))), least), () => {
      const { first, end, whole } = blockOf(e, block, step)
      e.loop('from', first, whole, step, (from) => {
        const most = [1, 2, 3].reduce((max, nth) => ops.max(max, vector(from, nth)), vector(from, 0))
        e.if(ops.ge(ops.hmax(most), least), () => look(from, e.value('to', ops.add(from, step))))
      })
      look(whole, end)
    }),
  )
  e.store(ids, i32(0), found)
  return {
    name: 'sampler_collect',
    operands: [buffer('weights', 0, 'read'), buffer('maxima', 1, 'read'), buffer('ids', 2, 'write', 'i32')],
    body: e.finish(),
    symbols: ['count', 'least'],
    workgroup: 1,
    grid: [],
  }
}
