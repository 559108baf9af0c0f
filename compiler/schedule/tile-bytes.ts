// The dots of a tile (contract-tile.ts) with activations in blocks of 8 bits: quants go to scratch memory as they are, four of a row a word,
// and so do activations, so that both take a quarter of the room that floats would. Sums of products stay integers until a step of the
// weights ends: 32 values, or 16.
//
// Scratch memory of a step of k: words of quants [four][row of all dots], then the steps of rows, then their offsets, [step][row], then for
// each token and block of 32 eight words of activations and (d, d·Σq of the first 16, of the last 16, or of all in the second place).

import { byteBlockWords, type ByteLayout, byteLayout, type TileWalk } from './contract-tile-shape.ts'
import { constant, load, ops } from './build-loops.ts'
import { activationAddress, weightAddress } from './contract-dots.ts'
import type { Dot } from './contract-plan.ts'
import type { Fetch, Sums, TileLoops } from './contract-tile.ts'
import { d8 } from './activation-blocks.ts'
import type { LoopExpr } from './loops.ts'
import { addBytes, sumOfBytes } from './packed-words.ts'

export class ByteTile {
  readonly #loops: TileLoops
  readonly #walk: TileWalk
  readonly #layout: ByteLayout

  constructor(loops: TileLoops, walk: TileWalk) {
    this.#loops = loops
    this.#walk = walk
    this.#layout = byteLayout(walk, loops.tile)
  }

  fetches(): Fetch[] {
    const { scope, tokens } = this.#loops
    const { dots } = this.#walk
    const first = tokens.at(constant('i32', 0))
    return [...scope.at(first, () => dots.flatMap((dot, n) => this.#weights(dot, n))), ...this.#activations()]
  }

  /** Quants of a run of rows, slice by slice; the first slice of a step also has what they are scaled with. */
  #weights(dot: Dot, n: number): Fetch[] {
    const { e, plan, tile, scope, scratch } = this.#loops
    const { packed, stride, scalesFrom, offsetsFrom } = this.#layout
    const { format } = dot
    const slices = this.#walk.k / format.sliceK
    const count = this.#sliceCount(dot)
    const perBlock = format.k / format.sliceK
    const perStep = packed.stepK / format.sliceK
    const last = (dot.k / format.k) * perBlock - 1
    return this.#loops.shared(count, n * count, (thing, has) => {
      const slice = e.value('slice', ops.and(thing, slices - 1))
      const unit = e.value('unit', ops.shr_u(thing, Math.log2(slices)))
      const row = e.value('row', ops.add(ops.mul(unit, plan.tile), n * tile.rows))
      const to = e.value('to', ops.add(ops.mul(slice, (format.sliceK / 4) * stride), row))
      return this.#loops.atUnit(e.value('unit', ops.add(this.#loops.unit, unit)), (_, inside) => {
        const { address, quads } = weightAddress(scope, dot, plan.tile)
        return this.#loops.guarded([has, inside], (step) => {
          const flat = e.value('flat', ops.add(ops.mul(step, slices), slice))
          const at = dot.k % this.#walk.k === 0 ? flat : e.value('at', ops.min(flat, last))
          const block = perBlock === 1 ? at : e.value('block', ops.shr_u(at, Math.log2(perBlock)))
          const place = {
            block: { ...address, at: e.value('w', ops.add(address.at, ops.mul(block, format.words))) },
            quads,
            slice: perBlock === 1 ? constant('i32', 0) : e.value('slice', ops.and(at, perBlock - 1)),
          }
          for (const [i, four] of packed.sliceBytes(e, place).entries())
            for (const [q, value] of four.entries()) e.store(scratch, to, value, i * stride + 4 * q, true)
          const steps = (): void => {
            const own = e.value('step', ops.add(ops.mul(ops.shr_u(slice, Math.log2(perStep)), stride), row))
            for (const [q, { scale, offset }] of packed.sliceSteps(e, place).entries()) {
              e.store(scratch, own, scale, scalesFrom + 4 * q, true)
              if (packed.offsets) e.store(scratch, own, offset!, offsetsFrom + 4 * q, true)
            }
          }
          if (perStep === 1) steps()
          else e.if(ops.eq(ops.and(slice, perStep - 1), 0), steps)
        })
      })
    })
  }

  readonly #sliceCount = ({ format }: Dot): number => (this.#loops.tile.rows / this.#loops.plan.tile) * (this.#walk.k / format.sliceK)

  /** Blocks of activations, with their fours in the order in which slices give theirs; past the end of k they are 0. */
  #activations(): Fetch[] {
    const { e, tile, scope, scratch, tokens } = this.#loops
    const { packed, blocks, tokenStride, activationsFrom } = this.#layout
    const { dots, k } = this.#walk
    const [dot] = dots as [Dot]
    const all = dot.k / d8.k
    return this.#loops.shared(tile.tokens * blocks, dots.length * this.#sliceCount(dot), (thing, has) => {
      const block = e.value('block', ops.and(thing, blocks - 1))
      const token = e.value('token', ops.shr_u(thing, Math.log2(blocks)))
      const to = e.value('to', ops.add(ops.mul(token, tokenStride), ops.mul(block, byteBlockWords)))
      const from = e.value(
        'x',
        scope.at(tokens.at(token), () => activationAddress(scope, dot)),
      )
      return this.#loops.guarded([has, tokens.has(token)], (step) => {
        const flat = e.value('block', ops.add(ops.mul(step, blocks), block))
        const ragged = dot.k % k !== 0
        const at = e.value('x', ops.add(from, ops.mul(ragged ? ops.min(flat, all - 1) : flat, d8.words)))
        const inside = ragged ? e.value('inside', ops.lt(flat, all)) : undefined
        const fours = Array.from({ length: d8.k / 4 }, (_, f) => {
          const place = ops.shr_u(ops.and(dot.format.placeOf(constant('i32', f)), d8.k - 1), 2)
          return e.let('x', load('i32', dot.activation, ops.add(at, place)))
        })
        const d = load('f32', dot.activation, at, d8.scale)
        const scale = e.let('ad', inside ? ops.select(inside, d, constant('f32', 0)) : d)
        for (const half of [0, 4])
          e.store(
            scratch,
            to,
            ops.pack_i32(fours[half]!, fours[half + 1]!, fours[half + 2]!, fours[half + 3]!),
            activationsFrom + half,
            true,
          )
        const sums = packed.offsets
          ? Array.from({ length: d8.k / packed.stepK }, (_, i) => fours.slice((i * packed.stepK) / 4, ((i + 1) * packed.stepK) / 4))
          : []
        const [first, second] = sums.map((some) => e.let('as', ops.mul(sumOfBytes(e, some), scale)))
        const zero = constant('f32', 0)
        e.store(scratch, to, ops.pack_f32(scale, first ?? zero, second ?? zero, zero), activationsFrom + d8.k / 4, true)
      })
    })
  }

  /** The products of a step. */
  multiply(sums: Sums): void {
    const { e, tile, scratch, column, across, four } = this.#loops
    const { packed, blocks, stride, tokenStride, scalesFrom, offsetsFrom, activationsFrom } = this.#layout
    const tokensEach = sums[0]!.length
    const tokens = e.value('x', ops.mul(four, tokensEach * tokenStride))
    e.loop('block', 0, blocks, 1, (block) => {
      const from = e.value('x', ops.add(tokens, ops.mul(block, byteBlockWords)))
      const at = (t: number, word: number): number => activationsFrom + t * tokenStride + word
      const xs = Array.from({ length: tokensEach }, (_, t) =>
        [0, 4].map((half) => e.let('x', load('i32x4', scratch, from, at(t, half), true))),
      )
      const ds = xs.map((_, t) => e.let('d', load('f32x4', scratch, from, at(t, d8.k / 4), true)))
      const rows = e.value('w', ops.add(ops.mul(block, (d8.k / 4) * stride), column))
      const scales = e.value('s', ops.add(ops.mul(block, (d8.k / packed.stepK) * stride), column))
      const row = (n: number, q: number): number => n * tile.rows + 4 * q * across
      for (const [n, ofDot] of sums.entries()) {
        for (let group = 0; group < d8.k / packed.stepK; group++) {
          const whole: (LoopExpr | undefined)[][] = xs.map(() => [])
          for (let f = (group * packed.stepK) / 4; f < ((group + 1) * packed.stepK) / 4; f++) {
            addBytes(
              e,
              whole,
              xs.map((halves) => ops.lane_i32(halves[f >> 2]!, f & 3)),
              Array.from({ length: tile.quads }, (_, q) => e.let('w', load('i32x4', scratch, rows, f * stride + row(n, q), true))),
            )
          }
          for (let q = 0; q < tile.quads; q++) {
            const step = (base: number): LoopExpr => load('f32x4', scratch, scales, base + group * stride + row(n, q), true)
            const scale = e.let('scale', step(scalesFrom))
            const offset = packed.offsets ? e.let('offset', step(offsetsFrom)) : undefined
            for (const [t, acc] of ofDot.map((token) => token[q]!).entries()) {
              const scaled = ops.mul(scale, ops.splat_f32(ops.lane_f32(ds[t]!, 0)))
              const total = ops.madd(ops.to_f32x4(whole[t]![q]!), scaled, acc)
              e.set(acc, offset ? ops.madd(offset, ops.splat_f32(ops.lane_f32(ds[t]!, 1 + group)), total) : total)
            }
          }
        }
      }
    })
  }
}
