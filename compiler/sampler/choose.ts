// The token, from keys to draw by: one workgroup, each invocation with a run of blocks of its own. Nothing is sorted. What top-k, top-p
// and the draw ask of the descending order is "which key is the first where more than so much lies at or above it", of counts or of
// masses: found three bits at a time, since the bits of positive floats are ordered as they are. Equal keys go by id. What is kept
// is all above a key, `cut`, and the first `kept` ids that have it. Without truncation the draw goes along the ids, over the sums of
// blocks. The order of sums is not the CPU's: where a coin lies within rounding of a boundary, its neighbour may be drawn.

import { buffer, builtin, constant, Emitter, i32, load, ops, scratch } from '../schedule/build-loops.ts'
import type { LoopExpr, LoopFunction } from '../schedule/loops.ts'
import { blocksOf, broken, draws, eachId, most, parameters, real, reduce, reduceWords, threadsFor, word } from './parts.ts'
import { uniform } from './philox.ts'

const f32 = (value: number): LoopExpr => constant('f32', value)
const invocation = builtin('invocation')

/** Operands, by number. */
const operand = { keys: 0, largest: 1, sums: 2, chosen: 3, seen: 4, next: 5 } as const
const scratchOperands = [6, 7] as const
/** The bits of keys, which are at most 1, are below 2^30: ten steps of three. */
const keyBits = 30
const stepBits = 3

class Chooser {
  readonly e = new Emitter()
  readonly vocab: number
  readonly threads: number
  readonly token: LoopExpr
  /** The largest key. */
  readonly top: LoopExpr

  constructor(vocab: number) {
    this.vocab = vocab
    this.threads = threadsFor(vocab)
    const { e } = this
    const own = e.let('own_top', f32(-broken))
    this.eachBlock((block) => e.set(own, ops.max(own, load('f32', operand.largest, block))))
    this.top = this.reduce('max', [own])[0]!
    const first = e.let('first', f32(-(2 ** 24)))
    this.eachBlock((block) =>
      e.if(ops.eq(load('f32', operand.largest, block), this.top), () =>
        eachId(e, block, vocab, (id) =>
          e.if(ops.eq(load('f32', operand.keys, id), this.top), () => e.set(first, ops.max(first, ops.to_f32(ops.neg(id))))),
        ),
      ),
    )
    this.token = e.let('token', ops.neg(ops.to_i32(this.reduce('max', [first])[0]!)))
  }

  reduce(how: 'sum' | 'max', values: readonly LoopExpr[]): LoopExpr[] {
    return reduce(this.e, this.threads, scratchOperands, how, values)
  }

  eachBlock(body: (block: LoopExpr) => void): void {
    const each = Math.ceil(blocksOf(this.vocab) / this.threads)
    const from = ops.mul(invocation, each)
    this.e.loop('block', from, ops.min(ops.add(from, each), i32(blocksOf(this.vocab))), 1, body)
  }

  /** The ids of own blocks that have a key with such bits or greater ones. */
  scan(least: LoopExpr, body: (bits: LoopExpr, id: LoopExpr) => void): void {
    const { e } = this
    this.eachBlock((block) =>
      e.if(ops.ge(load('i32', operand.largest, block), least), () =>
        eachId(e, block, this.vocab, (id) => body(e.value('bits', load('i32', operand.keys, id)), id)),
      ),
    )
  }

  /** What the invocations before this one gave to the last reduction as value number `v`, summed in order. */
  before(v: number): LoopExpr {
    const sum = this.e.let('before', f32(0))
    this.e.loop('earlier', 0, invocation, 1, (i) => this.e.set(sum, ops.add(sum, load('f32', scratchOperands[0], i, v * this.threads))))
    this.e.barrier() // the next reduction overwrites them
    return sum
  }

  /** The token is the one that some invocation found, if one did (-1 where not). */
  settle(found: LoopExpr): void {
    const [id] = this.reduce('max', [ops.to_f32(found)])
    this.e.if(ops.ge(id!, f32(0)), () => this.e.set(this.token, ops.to_i32(id!)))
  }

  /** The last id with mass before which no more than `target` lies. `total` was the last reduction, of own sums. */
  alongIds(target: LoopExpr): void {
    const { e } = this
    const sum = this.before(0)
    const [found, within, start] = [e.let('found', i32(-1)), e.let('within', i32(-1)), e.let('start', f32(0))]
    this.eachBlock((block) => {
      const mass = e.value('mass', load('f32', operand.sums, block))
      e.if(ops.and(ops.gt(mass, f32(0)), ops.le(sum, target)), () => {
        e.set(within, block)
        e.set(start, sum)
      })
      e.set(sum, ops.add(sum, mass))
    })
    e.if(ops.ge(within, 0), () =>
      eachId(e, within, this.vocab, (id) => {
        const key = e.value('key', load('f32', operand.keys, id))
        e.if(ops.and(ops.gt(key, f32(0)), ops.le(start, target)), () => e.set(found, id))
        e.set(start, ops.add(start, key))
      }),
    )
    this.settle(found)
  }

  /** Bits of the greatest key at and above which more than `bound` lies, of ids or of mass; 0 if there is none. */
  search(counts: LoopExpr, bound: LoopExpr): LoopExpr {
    const { e } = this
    const low = e.let('low', i32(0))
    e.loop('round', 0, keyBits / stepBits, 1, (round) => {
      const step = e.value('step', ops.shr_u(i32(1 << (keyBits - stepBits)), ops.mul(round, stepBits)))
      const parts = Array.from({ length: most }, () => e.let('at_least', f32(0)))
      this.scan(ops.add(low, step), (bits, id) => {
        const weight = e.value('weight', ops.select(counts, f32(1), load('f32', operand.keys, id)))
        const steps = e.value('steps', ops.sub(bits, low))
        for (const [i, part] of parts.entries()) e.set(part, ops.add(part, ops.select(ops.ge(steps, ops.mul(step, i + 1)), weight, f32(0))))
      })
      const more = this.reduce('sum', parts).map((sum) => ops.to_i32(ops.gt(sum, bound)))
      e.set(
        low,
        ops.add(
          low,
          ops.mul(
            step,
            more.reduce((a, b) => ops.add(a, b)),
          ),
        ),
      )
    })
    return low
  }

  /** Top-k, top-p with min-p, the draw: each cuts what the one before left. */
  alongKeys(total: LoopExpr, coin: LoopExpr): void {
    const { e } = this
    const [cut, kept, mass] = [e.let('cut', i32(0)), e.let('kept', f32(0)), e.let('mass', total)]
    const [topP, minP] = [e.value('top_p', real('top_p')), e.value('min_p', real('min_p'))]
    const cutsMass = e.value('cuts_mass', ops.lt(topP, f32(1)))
    const k = e.value('k', ops.to_f32(word('top_k')))
    e.loop('question', 0, 3, 1, (question) => {
      const [first, second] = [ops.eq(question, 0), ops.eq(question, 1)]
      const asked = ops.or(
        ops.and(first, ops.gt(word('top_k'), 0)),
        ops.or(ops.and(second, ops.or(cutsMass, ops.gt(minP, f32(0)))), ops.eq(question, 2)),
      )
      e.if(asked, () => {
        const share = e.value('share', ops.mul(mass, ops.select(second, topP, coin)))
        const all = ops.and(second, ops.not(cutsMass))
        const bound = e.value('bound', ops.select(first, ops.sub(k, f32(1)), ops.select(all, f32(broken), share)))
        const at = e.let('at', ops.max(this.search(first, bound), cut))
        // The largest key is 1, so keys below minP are dropped: all above the number before it stay.
        const least = e.value('least', ops.select(second, ops.sub(ops.bits_i32(minP), 1), i32(0)))
        const drops = e.value('drops', ops.gt(least, at))
        e.set(at, ops.max(at, least))
        const [countAbove, massAbove, equal] = [0, 0, 0].map((zero) => e.let('part', f32(zero)))
        this.scan(at, (bits, id) => {
          const above = e.value('above', ops.gt(bits, at))
          e.set(countAbove!, ops.add(countAbove!, ops.to_f32(above)))
          e.set(massAbove!, ops.add(massAbove!, ops.select(above, load('f32', operand.keys, id), f32(0))))
          e.set(equal!, ops.add(equal!, ops.to_f32(ops.eq(bits, at))))
        })
        const [count, before, same] = this.reduce('sum', [countAbove!, massAbove!, equal!])
        const there = ops.select(ops.eq(at, cut), kept, same!)
        const room = e.value('room', ops.select(drops, f32(0), there))
        const key = e.value('key_at', ops.bits_f32(at))
        const fits = e.value('fits', ops.floor(ops.div(ops.sub(bound, before!), ops.max(key, f32(2 ** -126)))))
        e.if(
          ops.lt(question, 2),
          () => {
            const wanted = ops.select(first, ops.sub(k, count!), ops.add(fits, f32(1)))
            e.set(cut, at)
            e.set(kept, ops.min(wanted, room))
            e.set(mass, ops.madd(kept, key, before!))
          },
          () => {
            const rank = e.value('rank', ops.max(ops.min(fits, ops.sub(room, f32(1))), f32(0)))
            const [passed, found] = [this.before(2), e.let('found', i32(-1))]
            e.if(ops.and(ops.gt(room, f32(0)), ops.le(passed, rank)), () =>
              this.scan(at, (bits, id) =>
                e.if(ops.eq(bits, at), () => {
                  e.if(ops.eq(passed, rank), () => e.set(found, id))
                  e.set(passed, ops.add(passed, f32(1)))
                }),
              ),
            )
            this.settle(found)
          },
        )
      })
    })
  }

  draw(): void {
    const { e } = this
    const own = e.let('own_sum', f32(0))
    this.eachBlock((block) => e.set(own, ops.add(own, load('f32', operand.sums, block))))
    const coin = uniform(e, [word('seed_low'), word('seed_high')], word('position'))
    const total = this.reduce('sum', [own])[0]!
    const truncates = ops.or(ops.gt(word('top_k'), 0), ops.or(ops.lt(real('top_p'), f32(1)), ops.gt(real('min_p'), f32(0))))
    e.if(
      truncates,
      () => this.alongKeys(total, coin),
      () => this.alongIds(ops.mul(coin, total)),
    )
  }
}

/**
 * Operands: keys [vocab], largest and sum of each block; chosen [1]: the token, -1 when the scores are not finite numbers; seen
 * [vocab]: takes the token's place; if `feeds`, next [1]: the id that the next step reads.
 */
export function chooseToken(vocab: number, feeds: boolean): LoopFunction {
  const chooser = new Chooser(vocab)
  const { e, token, top, threads } = chooser
  e.if(draws(), () => chooser.draw())
  e.if(ops.eq(invocation, 0), () => {
    const id = e.value('id', ops.select(ops.lt(top, f32(broken)), token, i32(-1)))
    const known = e.value('known', ops.max(id, i32(0)))
    e.store(operand.chosen, i32(0), id)
    e.store(operand.seen, known, ops.add(word('position'), 1))
    if (feeds) e.store(operand.next, i32(0), known)
  })
  const operands = [
    buffer('keys', 0, 'read'),
    buffer('largest', 1, 'read'),
    buffer('sums', 2, 'read'),
    buffer('chosen', 3, 'write', 'i32'),
    buffer('seen', 4, 'write', 'i32'),
    feeds ? buffer('next', 5, 'write', 'i32') : scratch('unused', 1),
    ...reduceWords(threads).map((words, i) => scratch(`parts${i}`, words)),
  ]
  return { name: 'sampler_choose', operands, body: e.finish(), symbols: parameters, workgroup: threads, grid: [[]] }
}
