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
  half,
  type PackedFormat,
  type Quad,
  type Slice,
  splatFloat,
  splatWord,
  words,
} from './packed-words.ts'
import { byteParts, floatParts, type PartActivations, splatSum } from './part-products.ts'
import { addProducts, vectorsOf } from './run-products.ts'
import type { RunQuants } from './run-quants.ts'
import { type IntegerScales, offsetOf, type Run, type RunScales, type Step } from './run-scales.ts'

const runLength = 32
const zero = constant('i32x4', 0)

/** What `byte_pairs` makes of a byte: each i16 is so much of it, and so much is the whole word. */
const [pairFactor, pairWord] = [2 ** 8, 2 ** 24 + 2 ** 8]

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
        const read = vectorsOf(e, at, true)
        for (let group = 0; group < groups; group++) {
          const length = runLength / groups
          const sums = activations.map(() => quads.map(() => e.let('sum', constant('f32x4', 0))))
          // Before the products: kept beside them it would cost registers, and adds one by one.
          const totals = activations.map((activation) =>
            e.let('total', splatSum(Array.from({ length: length / 4 }, (_, i) => fourFloats(activation, group * length + 4 * i)))),
          )
          for (const j of groups === 1 ? quants.order : quants.order.filter((four) => four >> 2 === group)) {
            const packed = read.map((vector) => e.let('four', quants.bytes(i32(Math.floor(j / quants.period)), j % quants.period, vector)))
            for (let i = 0; i < 4; i++) {
              const rows = packed.map((four) => e.let('w', ops.to_f32x4(byteOf(four, i32(i)))))
              for (const [t, activation] of activations.entries()) {
                const x = e.let('x', splatFloat({ ...activation, at: ops.add(activation.at, 4 * j + i) }, 0))
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
        const fours = quants.share(share, (v) => e.let('q', words(at, ops.add(half(quad), ops.mul(v, 8)))))
        const group = groups === 1 ? i32(0) : ops.shr_u(fours[0]!.at, 4)
        const step = scales.open(e, block, quad, false, once)({ pair: ops.shr_u(run, 1), odd: ops.and(run, 1) }, group)
        const scale = e.let('d', step.scale)
        const offset = e.let('m', offsetOf({ ...step, scale }, centre))
        return fours.flatMap((four) => {
          const bytes = e.let('four', four.bytes)
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
        const fours = slice.quads.map((quad) => quants.share(share, (v) => e.let('q', words(at, ops.add(half(quad), ops.mul(v, 8))))))
        return fours[0]!.map((_, f) => fours.map((each) => e.let('four', each[f]!.bytes)))
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

    ...(scales.integers ? { dotBytes: integerSums(scales.integers) } : { dotBytes: scaledSums, bytesFactor: shiftedFactor }),
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
          const read = quads.map((quad) =>
            mine.flatMap((share) => quants.share(share, (v) => e.let('q', words(at!, ops.add(half(quad), ops.mul(v, 8)))))),
          )
          xs ??= given.map((activation) => read[0]!.map(({ at: place }) => e.let('x', kind.four(activation, place))))
          const fours = read[0]!.map((_, f) => () => read.map((of) => e.let('four', of[f]!.bytes)))
          const { sums, totals } = kind.multiply(e, given, xs, fours, quads.length)
          const group = groups === 1 ? i32(0) : ops.shr_u(read[0]![0]!.at, 4)
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
    walk(e, dot, a8.words, ({ run, quants: at, activations }) => {
      const scaleOf = (q: number) => {
        const { scale, offset } = steps[q]!(run, i32(0))
        return { d: e.let('d', scale), m: offset && e.let('m', offset) }
      }
      const sums = activations.map((activation) => {
        const from = fromOf(e, activation, 0)
        return at.map(() => new ByteSum(e, zero, centre ?? quants.most, from))
      })
      addProducts(e, quants, at, activations, [0, 1], sums)
      // One token's scales are read where they are used: those of all quads would not fit the registers.
      const scaled = activations.length === 1 ? undefined : [...steps.keys()].map(scaleOf)
      for (const [t, activation] of activations.entries()) {
        const ad = e.let('ad', splatFloat(activation, a8.scale))
        const as = centre === undefined ? e.let('as', splatFloat(activation, a8.sum)) : undefined
        for (const [q, sum] of sums[t]!.entries()) {
          const { d, m } = scaled?.[q] ?? scaleOf(q)
          const acc = dot.accumulators[t]![q]!
          e.set(acc, ops.madd(ops.to_f32x4(sum.total()), ops.mul(d, ad), m && as ? ops.madd(m, as, acc) : acc))
        }
      }
    })
  }

  /** Where a sum of products with centred quants begins. */
  function fromOf(e: Emitter, activation: Address, part: number): { from?: LoopExpr } {
    return centre === undefined ? {} : { from: e.let('from', splatWord(activation, centred[centre]![part]!)) }
  }

  /** Sums of a run times its integer scale, then times the activations' step: the weights' own units follow once a block. */
  function integerSums({ unit, scale, least }: IntegerScales): NonNullable<PackedFormat['dotBytes']> {
    return (e, dot) => {
      const { quads, accumulators } = dot
      const each = (hint: string) => dot.activations.map(() => quads.map(() => e.let(hint, constant('f32x4', 0))))
      const [whole, low] = [each('whole'), least ? each('low') : undefined]
      walk(e, dot, a8.words, ({ run: { pair, odd }, quants: at, activations }) => {
        if (odd.kind !== 'const') throw new Error('internal: a single run of a block against 8-bit activations')
        const mask = e.let('mask', ops.byte_mask(pair))
        const steps = activations.map((activation) => e.let('ad', splatFloat(activation, a8.step)))
        for (let group = 0; group < groups; group++) {
          const known: LoopExpr[] = []
          const scaleOf = (q: number): LoopExpr =>
            (known[q] ??= e.let('scale', ops.byte_pairs(scale(quads[q]!.block, quads[q]!.quad, odd.value, group), mask)))
          const sums = activations.map((activation) => {
            const from = fromOf(e, activation, group)
            return at.map((_, q) => new ByteSum(e, zero, centre ?? quants.most, { ...from, scale: () => scaleOf(q) }))
          })
          addProducts(e, quants, at, activations, groups === 1 ? [0, 1] : [group as 0 | 1], sums)
          for (const [t, row] of sums.entries()) {
            for (const [q, sum] of row.entries()) {
              e.set(whole[t]![q]!, ops.madd(ops.to_f32x4(sum.total()), steps[t]!, whole[t]![q]!))
            }
          }
        }
        if (!least || !low) return
        const totals = activations.map((activation) => e.let('as', splatFloat(activation, a8.total)))
        for (const [q, { block, quad }] of quads.entries()) {
          const m = e.let('m', ops.to_f32x4(ops.byte_pairs(least.minimum(block, quad, odd.value), mask)))
          for (const [t, total] of totals.entries()) e.set(low[t]![q]!, ops.madd(m, total, low[t]![q]!))
        }
      })
      for (const [q, { block, quad }] of quads.entries()) {
        const d = e.let('d', ops.mul(unit(block, quad), constant('f32x4', 1 / pairFactor)))
        const m = least && e.let('m', ops.mul(least.unit(block, quad), constant('f32x4', -1 / pairWord)))
        for (const t of dot.activations.keys()) {
          const acc = accumulators[t]![q]!
          e.set(acc, ops.madd(whole[t]![q]!, d, m && low ? ops.madd(low[t]![q]!, m, acc) : acc))
        }
      }
    }
  }
}
