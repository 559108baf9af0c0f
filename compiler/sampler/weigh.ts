// Scores become keys to draw by, one invocation a block of ids, in two functions, since the second needs the largest score of all:
// `adjust` applies penalty and temperature and finds each block's largest; `weigh` makes exp(score − largest) of it. Keys are no
// probabilities yet: they sum to whatever they do, and the largest is 1. Where the best token is taken, keys stay scores.

import * as affine from '../../dsl/affine.ts'
import { buffer, builtin, constant, Emitter, i32, load, ops, scratch } from '../schedule/build-loops.ts'
import type { LoopExpr, LoopFunction } from '../schedule/loops.ts'
import { joinAll } from '../schedule/work-group.ts'
import { blocksOf, broken, draws, eachId, lowest, parameters, real, word } from './parts.ts'

const threads = 64
const f32 = (value: number): LoopExpr => constant('f32', value)
const shape = (vocab: number): Pick<LoopFunction, 'symbols' | 'workgroup' | 'grid'> => ({
  symbols: parameters,
  workgroup: threads,
  grid: [[{ size: affine.constant(blocksOf(vocab)), divisor: threads }]],
})
const ownBlock = (e: Emitter): LoopExpr => e.value('block', ops.add(ops.mul(builtin('group_x'), threads), builtin('invocation')))

/** Operands: scores [vocab]; seen [vocab], one more than the place where an id was last, 0 for none; keys [vocab]; tops [blocks]. */
export function adjustScores(vocab: number): LoopFunction {
  const [scores, seen, keys, tops] = [0, 1, 2, 3]
  const e = new Emitter()
  const block = ownBlock(e)
  e.if(ops.lt(block, blocksOf(vocab)), () => {
    const penalty = e.value('penalty', real('penalty'))
    const temperature = e.value('temperature', real('temperature'))
    const top = e.let('top', f32(lowest))
    eachId(e, block, vocab, (id) => {
      // Comparisons with NaN and infinities may be anything, so bits are compared.
      const bits = e.value('bits', load('i32', scores, id))
      const notFinite = ops.gt(ops.and(bits, 0x7fffffff), i32(0x7f7fffff))
      const bad = e.value('bad', ops.and(notFinite, ops.ne(bits, i32(0xff800000))))
      const score = e.let('score', ops.select(bad, f32(broken), ops.max(ops.bits_f32(bits), f32(lowest))))
      e.if(ops.ne(penalty, f32(1)), () => {
        const place = e.value('place', load('i32', seen, id))
        const lately = ops.and(ops.le(place, word('position')), ops.gt(place, ops.max(ops.sub(word('position'), word('window')), i32(0))))
        e.if(lately, () => e.set(score, ops.select(ops.gt(score, f32(0)), ops.div(score, penalty), ops.mul(score, penalty))))
      })
      e.if(ops.gt(temperature, f32(0)), () => e.set(score, ops.max(ops.div(score, temperature), f32(lowest))))
      e.if(bad, () => e.set(score, f32(broken)))
      e.store(keys, id, score)
      e.set(top, ops.max(top, score))
    })
    e.store(tops, block, top)
  })
  const operands = [buffer('scores', 0, 'read'), buffer('seen', 1, 'read', 'i32'), buffer('keys', 2, 'write'), buffer('tops', 3, 'write')]
  return { name: 'sampler_adjust', operands, body: e.finish(), ...shape(vocab) }
}

/** Operands: tops, keys as before; largest and sum of each block's keys [blocks]. */
export function weighScores(vocab: number): LoopFunction {
  const [tops, keys, largest, sums, tree] = [0, 1, 2, 3, 4]
  const e = new Emitter()
  const own = e.let('own', f32(lowest))
  e.loop('other', builtin('invocation'), blocksOf(vocab), threads, (other) => e.set(own, ops.max(own, load('f32', tops, other))))
  const most = joinAll({ emitter: e }, { threads, leastSubgroup: 0 }, tree, 'max', own)
  const block = ownBlock(e)
  e.if(ops.lt(block, blocksOf(vocab)), () => {
    const top = e.value('top', load('f32', tops, block))
    // What is broken is told by the largest key.
    e.if(
      ops.and(draws(), ops.lt(most, f32(broken))),
      () => {
        const weight = (score: LoopExpr): LoopExpr => {
          const value = e.value('weight', ops.min(ops.exp(ops.sub(score, most)), f32(1)))
          // No denormals: machines differ in what becomes of them.
          return ops.select(ops.lt(value, f32(2 ** -126)), f32(0), value)
        }
        const sum = e.let('sum', f32(0))
        eachId(e, block, vocab, (id) => {
          const key = e.value('key', weight(load('f32', keys, id)))
          e.store(keys, id, key)
          e.set(sum, ops.add(sum, key))
        })
        e.store(largest, block, weight(top))
        e.store(sums, block, sum)
      },
      () => e.store(largest, block, top),
    )
  })
  const operands = [
    buffer('tops', 0, 'read'),
    buffer('keys', 1, 'readwrite'),
    buffer('largest', 2, 'write'),
    buffer('sums', 3, 'write'),
    scratch('tree', threads),
  ]
  return { name: 'sampler_weigh', operands, body: e.finish(), ...shape(vocab) }
}
