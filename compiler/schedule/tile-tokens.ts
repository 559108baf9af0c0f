// Which tokens a workgroup's tile has. Where all tokens meet the same weights: neighbours. Where they choose theirs (experts), those that
// have chosen alike, in their own order, so that chosen weights are read once for a tile of them and not once for each: workgroup after
// workgroup takes the tiles of the first choice, then those of the second … Each finds its own: its invocations count what was chosen,
// then look for the places of the tokens that are wanted. Every choice, at most, has one tile that is not full; workgroups that are left
// over do nothing. A token's sums are the same wherever its tile is.

import * as affine from '../../dsl/affine.ts'
import type { AxisId, KernelAxis } from '../kernel/types.ts'
import { emitAffine, unflatten } from './affine-loops.ts'
import { builtin, constant, load, ops } from './build-loops.ts'
import type { Choice, ContractPlan } from './contract-plan.ts'
import type { Count } from './count.ts'
import type { LoopExpr } from './loops.ts'
import type { Scope } from './scope.ts'

export interface TileTokens {
  /** Whether there is any in this workgroup's tile; undefined where that is certain. Uniform. */
  readonly some?: LoopExpr
  /** Whether a place of the tile has a token. */
  has(place: LoopExpr): LoopExpr
  /** The axes at the token of a place. */
  at(place: LoopExpr): readonly (readonly [AxisId, LoopExpr])[]
}

/** Of all axes that choose together. */
export const choosers = ({ axes }: Choice): affine.Affine =>
  affine.scale(
    axes[0]!.extent,
    axes.slice(1).reduce((product, { extent }) => product * extent.const, 1),
  )

/** Workgroups for tiles of `tokens`; `count`: of choices, at least as many as the plan's own. */
export function tilesOfTokens({ token, choice }: ContractPlan, tokens: number, count: number): Count {
  if (!choice) return [{ size: token!.extent, divisor: tokens }]
  return [{ size: affine.add(choosers(choice), affine.constant((count - 1) * (tokens - 1))), divisor: tokens }]
}

const powerAbove = (n: number): number => 2 ** Math.ceil(Math.log2(n))

/** Words of scratch memory that choosing takes: a count for each invocation, one for each choice, the tile's tokens. */
export const choosingWords = (choice: Choice | undefined, threads: number, tokens: number): number =>
  choice ? threads + powerAbove(choice.count) + tokens : 0

/** Tokens that lie side by side. */
export function neighbours(scope: Scope, { id, extent }: KernelAxis, tokens: number): TileTokens {
  const first = scope.emitter.value('s', ops.mul(builtin('group_y'), tokens))
  const end = emitAffine(extent)
  const number = (place: LoopExpr): LoopExpr => ops.add(first, place)
  return { has: (place) => ops.lt(number(place), end), at: (place) => [[id, scope.emitter.value('token', number(place))]] }
}

/**
 * Tokens that choose alike. `scratch`: an operand of `choosingWords` words, from the word `from` on. There are at least as many invocations
 * as choices, and both numbers of the tile are powers of two.
 */
export function alike(
  scope: Scope,
  choice: Choice,
  { tokens, threads }: { readonly tokens: number; readonly threads: number },
  scratch: number,
): TileTokens {
  const e = scope.emitter
  const { axes, count } = choice
  const wide = powerAbove(count)
  const runs = threads / wide
  const [totals, chosen] = [threads, threads + wide]
  const i32 = (value: number): LoopExpr => constant('i32', value)
  const word = (at: LoopExpr | number, offset = 0): LoopExpr => load('i32', scratch, at, offset)
  const all = emitAffine(choosers(choice))
  const perRun = e.value('per_run', ops.shr_u(ops.add(all, runs - 1), Math.log2(runs)))
  /** Runs `body` for the numbers of all tokens of a run, and what they choose (-1: nothing). */
  const overRun = (run: LoopExpr, body: (number: LoopExpr, choice: LoopExpr) => void): void => {
    const from = e.value('from', ops.mul(run, perRun))
    e.loop('number', from, ops.min(ops.add(from, perRun), all), 1, (number) =>
      scope.at(unflatten(e, number, axes), () => {
        const index = scope.emitIndex(choice.index)
        body(number, choice.where ? ops.select(scope.scalar(choice.where), index, i32(-1)) : index)
      }),
    )
  }

  // How many of a run choose one thing: neighbours look at the same run.
  const invocation = builtin('invocation')
  const [one, run] = [e.value('one', ops.and(invocation, wide - 1)), e.value('run', ops.shr_u(invocation, Math.log2(wide)))]
  const found = e.let('found', i32(0))
  overRun(run, (_, choice) => e.set(found, ops.add(found, ops.to_i32(ops.eq(choice, one)))))
  e.store(scratch, invocation, found)
  e.barrier()
  e.if(ops.lt(invocation, wide), () => {
    const total = e.let('total', i32(0))
    e.loop('run', 0, runs, 1, (at) => e.set(total, ops.add(total, word(ops.add(ops.mul(at, wide), invocation)))))
    e.store(scratch, invocation, total, totals)
  })
  e.barrier()

  // Whose tiles this workgroup's is among.
  const [own, rank, here] = [e.let('own', i32(0)), e.let('rank', i32(0)), e.let('here', i32(0))]
  const before = e.let('before', i32(0))
  e.loop('one', 0, count, 1, (at) => {
    const total = e.let('total', word(at, totals))
    const [from, end] = [before, e.let('end', ops.add(before, ops.div(ops.add(total, tokens - 1), tokens)))]
    e.if(ops.and(ops.ge(builtin('group_y'), from), ops.lt(builtin('group_y'), end)), () => {
      e.set(own, at)
      e.set(rank, ops.mul(ops.sub(builtin('group_y'), from), tokens))
      e.set(here, ops.min(ops.sub(total, rank), tokens))
    })
    e.set(before, end)
  })

  // Where the tile's tokens are: the run that has the one of this rank, then the one itself. Places without a token have the last one.
  e.if(ops.and(ops.lt(invocation, tokens), ops.gt(here, 0)), () => {
    const wanted = e.let('wanted', ops.add(rank, ops.min(invocation, ops.sub(here, 1))))
    const [at, sum] = [e.let('at', i32(0)), e.let('sum', i32(0))]
    const skipped = e.let('skipped', i32(0))
    e.loop('run', 0, runs, 1, (run) => {
      e.if(ops.le(sum, wanted), () => {
        e.set(at, run)
        e.set(skipped, sum)
      })
      e.set(sum, ops.add(sum, word(ops.add(ops.mul(run, wide), own))))
    })
    const left = e.let('left', ops.sub(wanted, skipped))
    overRun(at, (number, choice) =>
      e.if(ops.eq(choice, own), () => {
        e.if(ops.eq(left, 0), () => e.store(scratch, invocation, number, chosen))
        e.set(left, ops.sub(left, 1))
      }),
    )
  })
  const tile = e.uniform('here', here)
  return {
    some: ops.gt(tile, 0),
    has: (place) => ops.lt(place, tile),
    // Invocations that have no place ask for one behind the last.
    at: (place) => unflatten(e, e.value('number', word(ops.min(place, tokens - 1), chosen)), axes),
  }
}
