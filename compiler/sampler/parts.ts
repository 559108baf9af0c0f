// What the functions of the sampler have in common: its parameters, which are words of the uniform buffer, the blocks that the
// vocabulary is cut into, and how the invocations of its last function sum and compare.

import { type SamplingWord, samplingWords } from '../../runtime/artifact/webgpu-program.ts'
import { builtin, constant, type Emitter, i32, load, ops, symbol } from '../schedule/build-loops.ts'
import { type Combine, combine } from '../schedule/definitions.ts'
import type { LoopExpr } from '../schedule/loops.ts'

/** Ids of one block: its largest key is known, so that searches pass over blocks without a key that they look for. */
export const blockIds = 32
export const blocksOf = (vocab: number): number => Math.ceil(vocab / blockIds)

/** Scores from here on are not finite numbers, or grew so large by the temperature. */
export const broken = 3e38
export const lowest = -3e38

/** Symbols of all its functions. */
export const parameters: readonly string[] = samplingWords
export const word = (name: SamplingWord): LoopExpr => symbol(name)
export const real = (name: SamplingWord): LoopExpr => ops.bits_f32(symbol(name))
/** The token is drawn; else the best one is taken. */
export const draws = (): LoopExpr => ops.gt(real('temperature'), constant('f32', 0))

/** The ids of a block, in order. */
export function eachId(e: Emitter, block: LoopExpr, vocab: number, body: (id: LoopExpr) => void): void {
  const from = e.value('from_id', ops.mul(block, blockIds))
  const to = vocab % blockIds === 0 ? ops.add(from, blockIds) : ops.min(ops.add(from, blockIds), i32(vocab))
  e.loop('id', from, to, 1, body)
}

const second = 16
/** Invocations of the function that chooses, all of which work on one question: a block each, where there are so few. */
export const threadsFor = (vocab: number): number => Math.min(256, Math.max(second, 2 ** Math.ceil(Math.log2(blocksOf(vocab)))))
/** Most values that are summed at once. */
export const most = 7
/** Words of the scratch operands that `reduce` takes. */
export const reduceWords = (threads: number): readonly [number, number] => [most * threads, most * second]

/**
 * Sums, or largest, of some f32 values of all invocations, for everybody: the same order for all, and monotone. What each gave stays in
 * `first` (value number v of invocation i at v · threads + i) until the next reduction. Two barriers.
 */
export function reduce(
  e: Emitter,
  threads: number,
  [first, last]: readonly [number, number],
  how: Exclude<Combine, 'min'>,
  values: readonly LoopExpr[],
): LoopExpr[] {
  const invocation = builtin('invocation')
  const each = threads / second
  for (const [v, value] of values.entries()) e.store(first, invocation, value, v * threads)
  e.barrier()
  e.loop('partial', invocation, second * values.length, threads, (partial) => {
    const from = e.value('from_part', ops.mul(partial, each))
    const sum = e.let('part', load('f32', first, from))
    e.loop('other', 1, each, 1, (i) => e.set(sum, combine(how, sum, load('f32', first, ops.add(from, i)))))
    e.store(last, partial, sum)
  })
  e.barrier()
  return values.map((_, v) => {
    const sum = e.let('total', load('f32', last, i32(v * second)))
    e.loop('part', 1, second, 1, (i) => e.set(sum, combine(how, sum, load('f32', last, i, v * second))))
    return sum
  })
}
