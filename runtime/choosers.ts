// Two ways to the next token, for the generation loop: scores that a sampler here draws from, or a device that draws where its scores are.
// A device that runs ahead is given the next step before the token that the step reads is known here: it is one token ahead, and a
// step that turns out not to be wanted has only written what the next reading overwrites.
import type { DrawOptions } from './devices/device.ts'
import type { Drawing } from './host.ts'
import type { Soon } from './soon.ts'
import { createSampler, notNumbers, samplingNumbers, type SamplingOptions, type Scores } from './sampling.ts'

type Arguments = Readonly<Record<string, number>>

/** What is needed of a session. */
export interface ReadingTarget {
  readonly seed: number
  /** Ids read so far. */
  readonly position: number
  readonly tokens: readonly number[]
  /** Scores of the next token after the last reading, if nothing happened since. */
  readonly scores: Scores | undefined
  /** How many more ids can be read. */
  room(args: Arguments): number
  read(ids: readonly number[], args: Arguments, signal: AbortSignal | undefined): Promise<Scores>
  /** Whether tokens can be drawn on the device. */
  canDraw(): boolean
  /** Reads ids, and the device chooses the next token after the last: -1 when the scores are not finite numbers. */
  choose(ids: readonly number[], args: Arguments, how: SeededSampling, signal: AbortSignal | undefined): Soon<number>
  /** Whether a reading can be submitted before the token that it reads is known: by what follows. */
  readonly runsAhead: boolean
  /**
   * Submits a reading of ids and what chooses the next token; all readings but the last have ended then. With `after`: of the token of
   * that drawing, undefined where there is no room for it.
   */
  draw(ids: readonly number[], args: Arguments, how: SeededSampling, signal: AbortSignal | undefined): Promise<Drawing>
  drawAfter(after: Drawing, args: Arguments, how: SeededSampling, signal: AbortSignal | undefined): Promise<Drawing | undefined>
  /** The token; what its reading read counts as read from then on. */
  token(drawing: Drawing): Promise<number>
  /** Tells what a drawing reads: the token of the one before. */
  settle(drawing: Drawing, token: number): void
}

export type SeededSampling = Omit<DrawOptions, 'position'>

export interface Chooser {
  /** Reads ids. */
  read(ids: readonly number[]): Soon<void>
  /** The next token. `more`: its successor will be wanted, as far as is known. */
  next(more: boolean): Soon<number>
}

/** E_ARGUMENT for options that make no sense. */
export function createChooser(
  target: ReadingTarget,
  options: SamplingOptions & { readonly signal?: AbortSignal },
  args: Arguments,
): Chooser {
  const how = { ...samplingNumbers(options), seed: target.seed }
  const here = choosingHere(target, options, args)
  if (options.random !== undefined || !target.canDraw()) return here
  return (target.runsAhead ? choosingAhead : choosingThere)(target, how, here, args, options.signal)
}

function choosingHere(target: ReadingTarget, options: SamplingOptions & { readonly signal?: AbortSignal }, args: Arguments): Chooser {
  const sampler = createSampler(options, target.seed)
  let { scores } = target
  return {
    async read(ids) {
      scores = await target.read(ids, args, options.signal)
    },
    next: () => sampler.sample(scores!, target.position, target.tokens),
  }
}

const checkFinite = (token: number): number => (token < 0 ? notNumbers() : token)

/** `here` chooses from scores that the session has already. */
function choosingThere(
  target: ReadingTarget,
  how: SeededSampling,
  here: Chooser,
  args: Arguments,
  signal: AbortSignal | undefined,
): Chooser {
  let chosen: number | undefined
  return {
    read(ids) {
      const token = target.choose(ids, args, how, signal)
      if (typeof token !== 'number') return token.then((token) => void (chosen = token))
      chosen = token
    },
    next: (more) => (chosen === undefined ? here.next(more) : checkFinite(chosen)),
  }
}

/** One token ahead. */
function choosingAhead(
  target: ReadingTarget,
  how: SeededSampling,
  here: Chooser,
  args: Arguments,
  signal: AbortSignal | undefined,
): Chooser {
  let current: Drawing | undefined
  let ahead: Drawing | undefined
  return {
    async read(ids) {
      if (ahead) target.settle(ahead, ids[0]!)
      current = ahead ?? (await target.draw(ids, args, how, signal))
      ahead = undefined
    },
    async next(more) {
      if (!current) return here.next(more)
      if (more) ahead = await target.drawAfter(current, args, how, signal)
      return checkFinite(await target.token(current))
    },
  }
}
