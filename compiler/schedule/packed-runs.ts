// Packed formats whose block is a head (run-scales.ts) and runs of 32 unsigned quants (run-quants.ts), for every pairing of the
// two. A block's runs are walked in pairs; invocations that share a block take what lies side by side in all pairs. Sums of a run's products are
// scaled once: in f32, or as integers exactly (quants have at most 6 bits: they are the dot's 7-bit operand; a sum of 32 products times an
// integer scale of 8 bits fits an i32).

import { a8, centred, shiftedFactor } from './activation-blocks.ts'
import { constant, type Emitter, i32, load, ops } from './build-loops.ts'
import type { LoopExpr } from './loops.ts'
import { ByteSum } from './byte-sums.ts'
import {
  type Address,
  type BlockDot,
  byteOf,
  fourFloats,
  type PackedFormat,
  type Quad,
  type Slice,
  splatFloat,
  splatWord,
} from './packed-words.ts'
import { byteParts, floatParts, type PartActivations, splatSum } from './part-products.ts'
import { addProducts, foursOf, placeIn, vectorsOf } from './run-products.ts'
import type { RunQuants } from './run-quants.ts'
import { type IntegerScales, offsetOf, type Run, type RunScales, type Step } from './run-scales.ts'

const runLength = 32
const zero = constant('i32x4', 0)

/** What `byte_pairs` makes of a byte: each i16 is so much of it. */
const pairFactor = 2 ** 8

/** One run of the blocks: where the quants of each quad and the activations are. */
interface Part {
  readonly run: Run
  readonly quants: readonly Quad[]
  readonly activations: readonly Address[]
}

/** A vector of the head that all quads read, read once. */
function keptOnce(e: Emitter): (vector: LoopExpr) => LoopExpr {
  let kept: LoopExpr | undefined
  return (vector) => (kept ??= e.let('head', vector))
}

export function runBlocks(quants: RunQuants, scales: RunScales): PackedFormat {
  const { runs, groups, centre } = scales
  /** Against bytes there is less to do for each share: a part has two where they have one step. */
  const sharesOfPart = groups === 1 ? Math.min(2, quants.shares) : 1

  /** Addresses `by` times `each` words further on; those that share a base still do. */
  function move(e: Emitter, addresses: readonly Address[], by: LoopExpr, each: number): Address[] {
    const bases = new Map<LoopExpr, LoopExpr>()
    return addresses.map((address) => {
      const base = bases.get(address.at) ?? e.value('r', ops.add(address.at, ops.mul(by, each)))
      bases.set(address.at, base)
      return { ...address, at: base }
    })
  }

  const quantsOf = (weight: Address): Address => ({ ...weight, offset: weight.offset + scales.words })

  /** The runs of the blocks, with `step` words of activations each. */
  function walk(e: Emitter, { quads, activations }: BlockDot, step: number, body: (part: Part) => void): void {
    const first = quads.map(({ block, quad }) => ({ block: quantsOf(block), quad }))
    if (runs === 1) return body({ run: { pair: i32(0), odd: i32(0) }, quants: first, activations })
    e.loop('pair', 0, runs / 2, 1, (pair) => {
      const near = move(
        e,
        first.map(({ block }) => block),
        pair,
        2 * quants.words,
      )
      const given = move(e, activations, pair, 2 * step)
      const skip = (address: Address, by: number): Address => ({ ...address, offset: address.offset + by })
      for (const odd of [0, 1]) {
        body({
          run: { pair, odd: i32(odd) },
          quants: quads.map(({ quad }, q) => ({ block: skip(near[q]!, odd * quants.words), quad })),
          activations: given.map((address) => skip(address, odd * step)),
        })
      }
    })
  }

  return {
    k: runs * runLength,
    words: scales.words + runs * quants.words,
    parts: quants.shares * Math.min(runs, 2),
    element(operand, block, row, k, e) {
      const [run, place] = runs === 1 ? [i32(0), k] : [e.value('run', ops.shr_u(k, 5)), e.value('place', ops.and(k, 31))]
      const at = ops.add(block, ops.mul(run, quants.words))
      const q = e.let(
        'q',
        quants.element(place, row, (i) => load('i32', operand, ops.add(at, i), scales.words)),
      )
      const group = groups === 1 ? i32(0) : ops.shr_u(place, 4)
      const step = scales.element(e, operand, block, row, { pair: ops.shr_u(run, 1), odd: ops.and(run, 1) }, group)
      const scale = e.let('scale', step.scale)
      return ops.madd(ops.to_f32(q), scale, offsetOf({ ...step, scale }, centre))
    },

    dotFloat(e, dot) {
      const { quads, accumulators } = dot
      const steps = quads.map(({ block, quad }) => scales.open(e, block, quad, false))
      walk(e, dot, runLength, ({ run, quants: at, activations }) => {
        const read = at.map((quad) => {
          const shares = Array.from({ length: quants.shares }, (_, share) => vectorsOf(e, quants, quad, i32(share)))
          return (share: number) => shares[share]!
        })
        for (let group = 0; group < groups; group++) {
          const length = runLength / groups
          const sums = activations.map(() => quads.map(() => e.let('sum', constant('f32x4', 0))))
          // Before the products: kept beside them it would cost registers, and adds one by one.
          const totals = activations.map((activation) =>
            e.let('total', splatSum(Array.from({ length: length / 4 }, (_, i) => fourFloats(activation, group * length + 4 * i)))),
          )
          for (const { share, number, four } of foursOf(quants, groups === 1 ? undefined : group).flat()) {
            const packed = read.map((of) => e.let('four', four.bytes(of(share))))
            for (let i = 0; i < 4; i++) {
              const rows = packed.map((four) => e.let('w', ops.to_f32x4(byteOf(four, i32(i)))))
              for (const [t, activation] of activations.entries()) {
                const x = e.let('x', splatFloat({ ...activation, at: ops.add(activation.at, 4 * number + i) }, 0))
                for (const [q, row] of rows.entries()) e.set(sums[t]![q]!, ops.madd(row, x, sums[t]![q]!))
              }
            }
          }
          addScaled(
            e,
            steps.map((step) => () => step(run, i32(group))),
            sums,
            totals,
            accumulators,
          )
        }
      })
    },

    sliceK: runLength / quants.shares,
    placeOf: quants.placeOf,
    slice(e, { block, quads, slice }) {
      const { share, run, at } = placeOfSlice(e, { block, slice })
      const once = keptOnce(e)
      const rows = quads.map((quad) => {
        const vector = vectorsOf(e, quants, { block: at, quad }, share)
        const group = groups === 1 ? i32(0) : share
        const step = scales.open(e, block, quad, false, once)({ pair: ops.shr_u(run, 1), odd: ops.and(run, 1) }, group)
        const scale = e.let('d', step.scale)
        const offset = e.let('m', offsetOf({ ...step, scale }, centre))
        return quants.fours.flat().flatMap((four) => {
          const bytes = e.let('four', four.bytes(vector))
          return [0, 1, 2, 3].map((i) => ops.madd(ops.to_f32x4(byteOf(bytes, i32(i))), scale, offset))
        })
      })
      return rows[0]!.map((_, value) => rows.map((row) => row[value]!))
    },

    dotPart: partsAgainst(floatParts, 1),
    packed: {
      parts: (quants.shares / sharesOfPart) * Math.min(runs, 2),
      dotPart: partsAgainst(byteParts, sharesOfPart),
      stepK: groups === 1 ? 32 : 16,
      offsets: true,
      sliceBytes(e, slice) {
        const { share, at } = placeOfSlice(e, slice)
        const vectors = slice.quads.map((quad) => vectorsOf(e, quants, { block: at, quad }, share))
        return quants.fours.flat().map((four) => vectors.map((vector) => e.let('four', four.bytes(vector))))
      },
      sliceSteps(e, slice) {
        const { share, run } = placeOfSlice(e, slice)
        const once = keptOnce(e)
        return slice.quads.map((quad) => {
          const step = scales.open(e, slice.block, quad, false, once)({ pair: ops.shr_u(run, 1), odd: ops.and(run, 1) }, share)
          const scale = e.let('d', step.scale)
          return { scale, offset: e.let('m', offsetOf({ ...step, scale }, centre)) }
        })
      },
    },

    ...(scales.integers
      ? { dotBytes: integerSums(scales.integers), bytesFactor: 1 / pairFactor }
      : { dotBytes: scaledSums, bytesFactor: shiftedFactor }),
  }

  /** Which share of which run a slice is, and where that begins. */
  function placeOfSlice(e: Emitter, { block, slice }: Pick<Slice, 'block' | 'slice'>) {
    const { shares } = quants
    const share = shares === 1 ? i32(0) : e.value('share', ops.and(slice, shares - 1))
    const run = runs === 1 ? i32(0) : e.value('run', ops.shr_u(slice, Math.log2(shares)))
    const [at] = move(e, [quantsOf(block)], run, quants.words)
    return { share, run, at: at! }
  }

  /** `PackedFormat.dotPart` against some kind of activations; a part has so many shares of a run in each pair. */
  function partsAgainst(kind: PartActivations, sharesEach: number): PackedFormat['dotPart'] {
    return (e, { part, weights, activations, accumulators }) => {
      const parts = quants.shares / sharesEach
      const first = parts === 1 ? i32(0) : e.value('share', ops.and(part, parts - 1))
      const mine = Array.from({ length: sharesEach }, (_, i) => ops.add(first, i * parts))
      const odd = runs === 1 ? i32(0) : e.value('odd', ops.shr_u(part, Math.log2(parts)))
      const steps = weights.map(({ block, quads }) => {
        const once = keptOnce(e)
        return quads.map((quad) => scales.open(e, block, quad, false, once))
      })
      const inPair = (pair: LoopExpr): void => {
        const run = e.value('run', ops.add(ops.mul(pair, 2), odd))
        const given = move(e, activations, run, kind.words)
        let xs: readonly (readonly LoopExpr[])[] | undefined
        for (const [n, { block, quads }] of weights.entries()) {
          const [at] = move(e, [quantsOf(block)], run, quants.words)
          xs ??= given.map((activation) =>
            mine.flatMap((share) => quants.fours.flat().map(({ four }) => e.let('x', kind.four(activation, placeIn(quants, share, four))))),
          )
          const fours = mine.flatMap((share) => {
            const vectors = quads.map((quad) => vectorsOf(e, quants, { block: at!, quad }, share))
            return quants.fours.flat().map((four) => () => vectors.map((vector) => e.let('four', four.bytes(vector))))
          })
          const { sums, totals } = kind.multiply(e, given, xs, fours, quads.length)
          const group = groups === 1 ? i32(0) : mine[0]!
          addScaled(
            e,
            steps[n]!.map((step) => () => step({ pair, odd }, group)),
            sums,
            totals,
            accumulators[n]!,
          )
        }
      }
      if (runs === 1) inPair(i32(0))
      else e.loop('pair', 0, runs / 2, 1, inPair)
    }
  }

  /** accumulators += sums · scale + totals · offset, all [token][quad] but for one step a quad and one total a token. */
  function addScaled(
    e: Emitter,
    steps: readonly (() => Step)[],
    sums: readonly (readonly LoopExpr[])[],
    totals: readonly LoopExpr[],
    accumulators: readonly (readonly LoopExpr[])[],
  ): void {
    for (const [q, step] of steps.entries()) {
      const { scale, offset } = step()
      const d = e.let('d', scale)
      const m = e.let('m', offsetOf({ scale: d, ...(offset ? { offset } : {}) }, centre))
      for (const [t, row] of sums.entries()) {
        const acc = accumulators[t]![q]!
        e.set(acc, ops.madd(row[q]!, d, ops.madd(m, totals[t]!, acc)))
      }
    }
  }

  /** Sums of each run, scaled in f32. Centred ones begin at what the centre takes off. */
  function scaledSums(e: Emitter, dot: BlockDot): void {
    const steps = dot.quads.map(({ block, quad }) => scales.open(e, block, quad, true))
    walk(e, dot, a8.words, ({ run, quants: quads, activations }) => {
      const scaleOf = (q: number) => {
        const { scale, offset } = steps[q]!(run, i32(0))
        return { d: e.let('d', scale), m: offset && e.let('m', offset) }
      }
      const from = activations.map((activation) => fromOf(e, activation, 0))
      // One token's scales are read where they are used: those of all quads would not fit the registers.
      const scaled = activations.length === 1 ? undefined : [...steps.keys()].map(scaleOf)
      const given = activations.map((activation) => ({
        ad: e.let('ad', splatFloat(activation, a8.scale)),
        as: centre === undefined ? e.let('as', splatFloat(activation, a8.sum)) : undefined,
      }))
      addProducts(e, {
        quants,
        quads,
        activations,
        sumOf: (t) => new ByteSum(e, zero, centre ?? quants.most, from[t]),
        finish(t, q, sum) {
          const { d, m } = scaled?.[q] ?? scaleOf(q)
          const { ad, as } = given[t]!
          const acc = dot.accumulators[t]![q]!
          e.set(acc, ops.madd(ops.to_f32x4(sum), ops.mul(d, ad), m && as ? ops.madd(m, as, acc) : acc))
        },
      })
    })
  }

  /** Where a sum of products with centred quants begins. */
  function fromOf(e: Emitter, activation: Address, part: number): { from?: LoopExpr } {
    return centre === undefined ? {} : { from: e.let('from', splatWord(activation, centred[centre]![part]!)) }
  }

  /** Sums of a run times its integer scale, then times the activations' step: the weights' own units follow once a block. */
  function integerSums({ unit, words: wordsOf, scale, least }: IntegerScales): NonNullable<PackedFormat['dotBytes']> {
    return (e, dot) => {
      const { quads, accumulators } = dot
      const whole = dot.activations.map(() => quads.map(() => e.let('whole', constant('f32x4', 0))))
      walk(e, dot, a8.words, ({ run: { pair, odd }, quants: at, activations }) => {
        if (odd.kind !== 'const') throw new Error('internal: a single run of a block against 8-bit activations')
        const steps = activations.map((activation) => e.let('ad', splatFloat(activation, a8.step)))
        for (let group = 0; group < groups; group++) {
          const mask = ops.byte_mask(i32(scale(odd.value, group)))
          const known: LoopExpr[] = []
          const scaleOf = (q: number): LoopExpr =>
            (known[q] ??= e.let('scale', ops.byte_pairs(wordsOf(quads[q]!.block, quads[q]!.quad, pair), mask)))
          const from = activations.map((activation) => fromOf(e, activation, group))
          addProducts(e, {
            quants,
            quads: at,
            activations,
            ...(groups === 1 ? {} : { half: group }),
            sumOf: (t, q) => new ByteSum(e, zero, centre ?? quants.most, { ...from[t], scale: () => scaleOf(q) }),
            finish: (t, q, sum) => e.set(whole[t]![q]!, ops.madd(ops.to_f32x4(sum), steps[t]!, whole[t]![q]!)),
          })
        }
      })
      const low = least && minimaOf(e, dot, wordsOf)
      for (const [q, { block, quad }] of quads.entries()) {
        const lows = low?.(q)
        const [d, m] = [e.let('d', unit(block, quad)), least && e.let('m', least.unit(block, quad))]
        for (const [t, acc] of accumulators.map((row) => row[q]!).entries()) {
          e.set(acc, ops.madd(whole[t]![q]!, d, m && lows ? ops.madd(lows[t]!, m, acc) : acc))
        }
      }
    }
  }

  /**
   * -Σ over the runs of a block of minimum · total of the activations, with the factor that scales have: for a quad, by tokens. Those of even
   * runs are taken as they stand in their words, with 2^16, which their totals pay for; all are integers that f32 holds.
   */
  function minimaOf(e: Emitter, { quads, activations }: BlockDot, wordsOf: IntegerScales['words']): (quad: number) => LoopExpr[] {
    const read = (run: number) =>
      activations.map((activation) =>
        ops.mul(splatFloat(activation, run * a8.words + a8.total), constant('f32x4', run % 2 ? -pairFactor : -pairFactor / 2 ** 16)),
      )
    const kept = activations.length > 1 ? undefined : Array.from({ length: runs }, (_, run) => read(run).map((total) => e.let('as', total)))
    return (q) => {
      const { block, quad } = quads[q]!
      // Apart: one sum would wait for itself.
      const low = [0, 1].map(() => activations.map((): LoopExpr | undefined => undefined))
      for (let pair = 0; pair < runs / 2; pair++) {
        const word = e.let('pair', wordsOf(block, quad, i32(pair)))
        for (const [odd, sums] of low.entries()) {
          const m = e.let('m', ops.to_f32x4(odd ? ops.shr_u(word, 24) : ops.and(word, constant('i32x4', 255 << 16))))
          const run = 2 * pair + odd
          for (const [t, total] of (kept?.[run] ?? read(run)).entries()) {
            sums[t] = e.let('low', sums[t] ? ops.madd(m, total, sums[t]) : ops.mul(m, total))
          }
        }
      }
      return low[0]!.map((even, t) => e.let('low', ops.add(even!, low[1]![t]!)))
    }
  }
}
