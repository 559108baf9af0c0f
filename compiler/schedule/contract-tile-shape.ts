// Which tile of outputs a workgroup of contract-tile.ts computes: some positions by some rows. Of the shapes that fit its memory the one is
// taken that the described GPUs would be done with first: larger tiles load less again, smaller ones are more workgroups.

import * as affine from '../../dsl/affine.ts'
import { describedDevices } from '../cost-model.ts'
import { axesOfIndex } from '../kernel/index-walk.ts'
import type { Kernel, KernelAxis } from '../kernel/types.ts'
import { a8, d8 } from './activation-blocks.ts'
import { walksOf } from './contract-dots.ts'
import { activationWords, type ContractPlan, type Dot, planContract } from './contract-plan.ts'
import type { Machine } from './machine.ts'
import type { PackedDots } from './packed-words.ts'
import { sum } from './staged.ts'
import { choosers, choosingWords } from './tile-tokens.ts'

/** Positions whose sums an invocation holds: what it reads of the weights serves so many. */
export const tokensEach = 4

/** Words behind a row of scratch memory, so that neighbouring rows begin in different banks. */
const gap = 4

/** Vectors of sums that stay in registers. */
const mostSums = 16

/** Dots that walk k together, in steps of `k` values. */
export interface TileWalk {
  readonly dots: readonly Dot[]
  readonly k: number
}

/** One kernel's tile. All sizes are powers of two. */
export interface ContractTile {
  readonly threads: number
  readonly tokens: number
  /** Of each dot. */
  readonly rows: number
  /** Vectors of four rows that an invocation holds of each dot and position. */
  readonly quads: number
  readonly walks: readonly TileWalk[]
  /** Of scratch memory, and what choosing the tile's tokens takes besides. */
  readonly words: number
  readonly choosing: number
  /** The most that a kernel of the launch has tokens choose among. */
  readonly choices: number
}

/** The axes that choose rows, but for the lane. */
export interface TileAxes {
  /** Rows of a tile may lie at several values of these. */
  readonly inside: readonly KernelAxis[]
  /** Activations depend on these: a tile has one value of each. */
  readonly outside: readonly KernelAxis[]
  readonly moving: KernelAxis | undefined
  /** Runs of `plan.tile` rows along the inside axes and the lane. */
  readonly units: number
}

/** What all kernels of a launch have in common. `quads`: of all dots of a walk together, if there are no more of them. */
interface Shape {
  readonly tokens: number
  readonly threads: number
  readonly quads: number
}

const extentsOf = (axes: readonly KernelAxis[]): number => axes.reduce((product, { extent }) => product * extent.const, 1)
const powersOf2 = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, Math.log2(to / from) + 1) }, (_, i) => from * 2 ** i)

/** Words between the weights of neighbouring k (or fours of it), and between the activations of neighbouring positions. */
export const weightStride = (walk: Pick<TileWalk, 'dots'>, rows: number): number => walk.dots.length * rows + gap
export const activationStride = ({ k }: Pick<TileWalk, 'k'>): number => k + gap

/** Words of a block of 8-bit activations there: quants, and what they are scaled with. */
export const byteBlockWords = d8.k / 4 + 4

/** Where everything of a step of k is that is multiplied as bytes (tile-bytes.ts). */
export interface ByteLayout {
  readonly packed: PackedDots
  /** Between the quants of neighbouring fours, and between the activations of neighbouring tokens. */
  readonly stride: number
  readonly tokenStride: number
  /** Steps of a row, and blocks of activations. */
  readonly steps: number
  readonly blocks: number
  readonly scalesFrom: number
  readonly offsetsFrom: number
  readonly activationsFrom: number
  readonly words: number
}

export function byteLayout(walk: TileWalk, { rows, tokens }: Pick<ContractTile, 'rows' | 'tokens'>): ByteLayout {
  const { dots, k } = walk
  const packed = dots[0]!.format.packed!
  const stride = weightStride(walk, rows)
  const [steps, blocks] = [k / packed.stepK, k / d8.k]
  const scalesFrom = (k / 4) * stride
  const offsetsFrom = scalesFrom + steps * stride
  const activationsFrom = offsetsFrom + (packed.offsets ? steps * stride : 0)
  const tokenStride = blocks * byteBlockWords + gap
  const words = activationsFrom + tokens * tokenStride
  return { packed, stride, tokenStride, steps, blocks, scalesFrom, offsetsFrom, activationsFrom, words }
}

/** Scratch memory of a step of k. */
const stepWords = (walk: TileWalk, rows: number, tokens: number): number =>
  walk.dots[0]!.bytes ? byteLayout(walk, { rows, tokens }).words : walk.k * weightStride(walk, rows) + tokens * activationStride(walk)

/** The axes of a plan, or undefined where a grid has too few dimensions for them. */
export function tileAxes(plan: ContractPlan): TileAxes | undefined {
  const { dots, lane, tile, rowAxes, others } = plan
  const activated = new Set(dots.flatMap(({ activationIndex }) => activationIndex.flatMap((index) => [...axesOfIndex(index)])))
  const choosing = plan.choice?.axes ?? []
  const rest = [...rowAxes, ...others].filter((axis) => !choosing.includes(axis))
  const fixed = rest.filter(({ extent }) => affine.isConstant(extent))
  const moving = rest.filter(({ extent }) => !affine.isConstant(extent))
  if (moving.length > 1) return undefined
  const inside = fixed.filter(({ id }) => !activated.has(id))
  const units = extentsOf(inside) * Math.ceil(lane.extent.const / tile)
  return { inside, outside: fixed.filter(({ id }) => activated.has(id)), moving: moving[0], units }
}

/** The tile of a kernel; `together`: the kernels of its launch, which have as many positions and invocations. */
export function contractTile(
  plan: ContractPlan,
  machine: Machine,
  bounds: affine.Bounds,
  together: readonly Kernel[],
): ContractTile | undefined {
  if (!isLong(plan, machine, bounds)) return undefined
  const plans = together.flatMap((kernel) => planContract(kernel, bounds) ?? []).filter((each) => isLong(each, machine, bounds))
  const shapes = powersOf2(8, 64).flatMap((tokens) =>
    powersOf2(machine.threads, machine.mostThreads).flatMap((threads) => [1, 2].map((quads): Shape => ({ tokens, threads, quads }))),
  )
  let best: { readonly shape: Shape; readonly cost: number } | undefined
  for (const shape of shapes) {
    const cost = costOf(plans, shape, machine, bounds)
    if (cost !== undefined && (best === undefined || cost < best.cost)) best = { shape, cost }
  }
  const choices = Math.max(1, ...plans.map((each) => each.choice?.count ?? 1))
  return best && tileFor(plan, best.shape, machine, choices)
}

const mostTokens = ({ token, choice }: ContractPlan, bounds: affine.Bounds): number => {
  const tokens = choice ? choosers(choice) : token?.extent
  return tokens ? affine.range(tokens, bounds).max : 1
}

/** Tokens that choose are worth tiles where an invocation's places have one each, if all choices are equally likely. */
const isLong = (plan: ContractPlan, machine: Machine, bounds: affine.Bounds): boolean =>
  mostTokens(plan, bounds) >= Math.max(machine.shortestTile, tokensEach * (plan.choice?.count ?? 0)) &&
  (plan.choice?.count ?? 0) <= machine.mostThreads &&
  tileAxes(plan) !== undefined

function tileFor(plan: ContractPlan, { tokens, threads, quads: most }: Shape, machine: Machine, choices: number): ContractTile | undefined {
  const { dots, tile, choice } = plan
  const choosing = choosingWords(choice, threads, tokens)
  const scratchWords = machine.scratchWords - choosing
  if (dots.length * tokensEach > mostSums || tokens > threads || (choice?.count ?? 0) > threads) return undefined
  const walks = walksOf(dots, () => true)
  const quads = Math.max(1, Math.floor(most / dots.length))
  const rows = (4 * quads * threads) / (tokens / tokensEach)
  if (rows < (plan.writesBlocks ? a8.k : tile)) return undefined
  const steps = walks.map((walk): TileWalk | undefined => {
    const fits = (k: number): boolean => {
      const own = { dots: walk, k }
      return k % walk[0]!.format.sliceK === 0 && stepWords(own, rows, tokens) <= scratchWords
    }
    const k = (walk[0]!.bytes ? [128, 64, 32] : [32, 16]).find(fits)
    return k === undefined ? undefined : { dots: walk, k }
  })
  const known = steps.filter((step) => step !== undefined)
  const sums = dots.length * (tokens / tokensEach) * rows
  if (known.length < walks.length || sums > scratchWords) return undefined
  const words = Math.max(sums, ...known.map((walk) => stepWords(walk, rows, tokens)))
  return { threads, tokens, rows, quads, walks: known, words, choosing, choices }
}

/** Workgroups along rows. */
export const rowTiles = ({ outside, units }: TileAxes, { rows }: ContractTile, { tile }: ContractPlan): number =>
  extentsOf(outside) * Math.ceil((units * tile) / rows)

/**
 * Groups of tokens that meet the same weights, how many each has in the mean, and by how many that varies (choices at random: Poisson's).
 * Kernels whose choices exclude each other share the tokens.
 */
function tokenGroups(plan: ContractPlan, plans: readonly ContractPlan[], bounds: affine.Bounds) {
  const { choice } = plan
  const all = mostTokens(plan, bounds)
  if (!choice) return { groups: 1, tokens: all, spread: 0 }
  const tokens = all / (choice.where ? sum(plans.map((other) => other.choice?.count ?? 0)) : choice.count)
  return { groups: choice.count, tokens, spread: Math.sqrt(tokens) }
}

/** Tiles of a group, in the mean. */
const tilesOf = (tokens: number, spread: number, ofTile: number): number =>
  (Math.ceil((tokens - spread) / ofTile) + Math.ceil((tokens + spread) / ofTile)) / 2

/**
 * Seconds of a launch with all positions that there may be, as a logarithm, in the mean of the described GPUs. What is loaded again counts
 * as if it came from memory; reading scratch memory takes its part of the time beside the multiply-adds. Choices count as equally likely.
 */
function costOf(plans: readonly ContractPlan[], shape: Shape, machine: Machine, bounds: affine.Bounds): number | undefined {
  let [loaded, madds, dots, invocations] = [0, 0, 0, 0]
  for (const plan of plans) {
    const tile = tileFor(plan, shape, machine, 1)
    if (!tile) return undefined
    const axes = tileAxes(plan)!
    const { groups, tokens, spread } = tokenGroups(plan, plans, bounds)
    const moving = axes.moving ? affine.range(axes.moving.extent, bounds).max : 1
    const [across, down] = [rowTiles(axes, tile, plan) * moving, groups * tilesOf(tokens, spread, tile.tokens)]
    const weights = sum(plan.dots.map(({ k, format }) => (k / format.k) * format.words * 4 * (tile.rows / 8)))
    const activations = sum(tile.walks.map(({ dots }) => activationWords(dots[0]!) * 4))
    loaded += across * (down * weights + groups * tokens * activations)
    const each = tile.quads * plan.dots.length
    const fours = groups * tilesOf(tokens, spread, tokensEach) * tokensEach
    const scratchReads = (tokensEach + 4 * each) / (4 * tokensEach * each)
    for (const { k, bytes, format } of plan.dots) {
      const products = across * tile.rows * fours * k
      // Four products an operation; sums are made floats and scaled at the end of each step, offsets added.
      if (bytes) dots += products
      madds += products * (bytes ? scratchReads / 4 + 4 / format.packed!.stepK : 1 + scratchReads)
    }
    invocations += across * down * tile.threads
  }
  const gpus = describedDevices.filter(({ target }) => target === 'webgpu')
  return sum(
    gpus.map((gpu) => {
      const seconds = loaded / gpu.readBytes + madds / gpu.madd + dots / gpu.dot
      return Math.log(seconds / Math.min(1, invocations / gpu.invocations)) / gpus.length
    }),
  )
}
