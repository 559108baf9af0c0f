// Sums of dots over tiles of rows and tokens: which dots walk k together, what of the activations they share, and the loop over k with its
// accumulators. Which rows and tokens are a tile, and what becomes of the sums, is up to the schedule (contract.ts).

import { sameIndex } from '../kernel/index-map.ts'
import { axesOfIndex } from '../kernel/index-walk.ts'
import type { AxisId } from '../kernel/types.ts'
import { emitStrides } from './affine-loops.ts'
import { constant, ops } from './build-loops.ts'
import { activationWords, type Dot } from './contract-plan.ts'
import type { LoopExpr } from './loops.ts'
import type { Address, Quad } from './packed-words.ts'
import type { Scope } from './scope.ts'

/** Word address of the packed group that holds the first row of the tile, and which quads of it are meant. */
export function weightAddress(scope: Scope, dot: Dot, tile: 8 | 4): { address: Address; quads: LoopExpr[] } {
  const operand = scope.kernel.operands[dot.weight]!
  const strides = emitStrides(operand.dims.slice(0, dot.rows.length))
  const row = dot.rows.reduce<LoopExpr>((sum, index, i) => ops.add(sum, ops.mul(scope.emitIndex(index), strides[i]!)), constant('i32', 0))
  const groupWords = (dot.k / dot.format.k) * dot.format.words
  const group = scope.emitter.value('group', ops.mul(ops.shr_u(row, 3), groupWords))
  const quads = tile === 8 ? [constant('i32', 0), constant('i32', 1)] : [scope.emitter.value('half', ops.and(ops.shr_u(row, 2), 1))]
  return { address: { operand: dot.weight, at: group, offset: 0 }, quads }
}

export function activationAddress(scope: Scope, dot: Dot): LoopExpr {
  const dims = scope.kernel.operands[dot.activation]!.dims.slice(0, dot.activationIndex.length)
  const strides = emitStrides(dims)
  const row = dot.activationIndex.reduce<LoopExpr>(
    (sum, index, i) => ops.add(sum, ops.mul(scope.emitIndex(index), strides[i]!)),
    constant('i32', 0),
  )
  return ops.mul(row, activationWords(dot))
}

/** Rows of a tile, and whether there are any where that is not certain. */
export interface Unit {
  readonly place: readonly (readonly [AxisId, LoopExpr])[]
  readonly present?: LoopExpr
}

/** Unrolls short blocks so that a step has enough work, as far as k allows. */
const unrollOf = (dot: Dot): number => (dot.format.k === 1 ? [4, 2, 1].find((u) => dot.k % u === 0)! : 1)

/** A dot of the tile at a unit's rows; `stride`: words of activations from a token to the next. */
export interface Stream {
  readonly dot: Dot
  readonly unit: Unit
  readonly stride: number
}

/** Streams that meet the same activations: what is read of these is read once for all. */
interface Meeting {
  readonly first: Stream
  readonly base: LoopExpr
  readonly blocks: { readonly address: Address; readonly quads: readonly LoopExpr[] }[]
  /** Where in the streams' list each stands. */
  readonly places: number[]
}

/** Whether dots meet the same activations, wherever they are taken. */
const meetAlike = (a: Dot, b: Dot): boolean =>
  a.activation === b.activation && a.activationIndex.every((index, i) => sameIndex(index, b.activationIndex[i]!))

/** Whether what a dot meets depends on the rows. */
const movesWith = ({ place }: Unit, { activationIndex }: Dot): boolean =>
  activationIndex.some((index) => {
    const axes = axesOfIndex(index)
    return place.some(([id]) => axes.has(id))
  })

/** By what they read of activations. */
function meetingsOf(scope: Scope, streams: readonly Stream[], tile: 8 | 4): Meeting[] {
  const meetings: Meeting[] = []
  for (const [place, stream] of streams.entries()) {
    const { dot, unit } = stream
    scope.at(unit.place, () => {
      const block = weightAddress(scope, dot, tile)
      const meeting = meetings.find(({ first }) => meetAlike(first.dot, dot) && (first.unit === unit || !movesWith(unit, dot)))
      if (meeting) {
        meeting.blocks.push(block)
        meeting.places.push(place)
      } else {
        meetings.push({ first: stream, base: scope.emitter.value('a', activationAddress(scope, dot)), blocks: [block], places: [place] })
      }
    })
  }
  return meetings
}

/**
 * Sums of dots for tiles: [stream][token][quad]. One token and one-k formats use several accumulators each, as many as fit the registers,
 * because a single chain of additions waits for itself. Several streams walk k together: their dots must be alike.
 */
export function emitDots(scope: Scope, streams: readonly Stream[], tokens: number, tile: 8 | 4): LoopExpr[][][] {
  const e = scope.emitter
  const [{ dot: first }] = streams as readonly [Stream, ...Stream[]]
  const { format, k, bytes } = first
  const unroll = unrollOf(first)
  const chains = tokens === 1 && unroll > 1 ? Math.max(1, Math.min(unroll, Math.floor(4 / streams.length))) : 1
  const zero = constant('f32x4', 0)
  const step = activationWords(first, format.k)
  const walks = meetingsOf(scope, streams, tile).map((meeting) => {
    const quads = meeting.blocks.flatMap(({ quads }) => quads)
    return {
      ...meeting,
      sums: Array.from({ length: chains }, () => Array.from({ length: tokens }, () => quads.map(() => e.let('acc', zero)))),
    }
  })
  e.loop('b', 0, k / format.k, unroll, (block) => {
    for (const { first, base, blocks, sums } of walks) {
      const at = blocks.map(({ address }) => e.let('w', ops.add(address.at, ops.mul(block, format.words))))
      const x = e.let('x', ops.add(base, ops.mul(block, step)))
      for (let u = 0; u < unroll; u++) {
        const part = {
          quads: blocks.flatMap(({ address, quads }, n): Quad[] => {
            const moved = { ...address, at: at[n]!, offset: u * format.words }
            return quads.map((quad) => ({ block: moved, quad }))
          }),
          activations: Array.from({ length: tokens }, (_, t) => ({
            operand: first.dot.activation,
            at: x,
            offset: u * step + t * first.stride,
          })),
          accumulators: sums[u % chains]!,
        }
        if (bytes) format.dotBytes!(e, part)
        else format.dotFloat(e, part)
      }
    }
  })
  const factor = bytes ? format.bytesFactor : tokens === 1 ? format.oneTokenFactor : undefined
  const perStream = tile / 4
  const results: LoopExpr[][][] = []
  for (const { places, sums } of walks) {
    for (const [n, place] of places.entries()) {
      results[place] = Array.from({ length: tokens }, (_, t) =>
        Array.from({ length: perStream }, (_, q) => {
          const [acc, ...others] = sums.map((chain) => chain[t]![n * perStream + q]!)
          const sum = others.reduce((total, other) => ops.add(total, other), acc!)
          return e.value('acc', factor === undefined ? sum : ops.mul(sum, constant('f32x4', factor)))
        }),
      )
    }
  }
  return results
}

/** Dots which can walk k in one loop, as many as `fits` allows: by default only those that meet the same activations. */
export function walksOf(
  dots: readonly Dot[],
  fits: (count: number) => boolean,
  together: (a: Dot, b: Dot) => boolean = meetAlike,
): (readonly Dot[])[] {
  const walks: Dot[][] = []
  for (const dot of dots) {
    const walk = walks.find((others) => areAlike(others[0]!, dot) && together(others[0]!, dot) && fits(others.length + 1))
    if (walk) walk.push(dot)
    else walks.push([dot])
  }
  return walks
}

/** Dots that can walk k in one loop. */
const areAlike = (a: Dot, b: Dot): boolean => a.format === b.format && a.k === b.k && a.bytes === b.bytes
