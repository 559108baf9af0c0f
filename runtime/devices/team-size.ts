// To how many threads of a team a call is given. More are not always faster: where a neighbour takes a processor, or the system keeps two
// threads on one, each meeting waits for whoever is not running, and one thread alone is done sooner. So it is learnt from the times of calls
// that are alike: now and then some of them are given to one thread more or fewer, and the faster number is kept. Fewer are tried only when
// threads fell asleep in meetings: nobody sleeps where all have a processor. What a try has lost is waited for until the next: tries
// cost a small share of all time. Results do not depend on any of it. Times in milliseconds.

/** Calls in a row that judge a try. */
const judged = 4
/** Of so many calls a time is the mean, about: a neighbour that comes for a moment changes nothing. */
const memory = 16
/** A try must be faster by this to be kept: a team that was parted comes together again only by and by. */
const gain = { more: 0.97, fewer: 0.85 } as const
/** Calls that are slower by this than those after the last decision are a reason to decide again. */
const slower = 1.25
/**
 * Threads that slept wake on whatever processor is near, often the caller's own, and the system moves only what is busy: before more are tried,
 * they are kept busy for so long beside the calls. The try itself may last so many calls.
 */
const patience = { rousing: 40, calls: 12 } as const
/** Calls between two tries: at least so many, and so many for each call's time that was lost. */
const pause = { least: 8, each: 20, most: 160 } as const
/** Where meetings are so far apart, what neighbours do evens out between them. */
const longStretch = 0.3

interface Trial {
  readonly more: boolean
  /** How long the others are still roused. */
  rousing: number
  calls: number
  /** Times of the calls that judge it. */
  readonly last: number[]
  lost: number
}

/** `lost`: the time of so many calls. */
const pauseAfter = (lost: number): number => Math.max(pause.least, Math.min(pause.each * lost, pause.most))

export class TeamSize {
  readonly #most: number
  #size: number
  /** A call's time of late, and the least that has been since the last decision; 0: not known. */
  #usual = 0
  #least = 0
  /** Calls since the size changed, and until more or fewer are tried; for fewer, only those in which threads slept count. */
  #since = 0
  readonly #left = { more: pause.least as number, fewer: pause.least as number }
  #trial: Trial | undefined

  /** `most`: threads of the team. */
  constructor(most: number) {
    this.#most = most
    this.#size = most
  }

  /** For the next call. */
  get size(): number {
    return this.#trial && this.#trial.rousing <= 0 ? this.#size + (this.#trial.more ? 1 : -1) : this.#size
  }

  /** The next call wakes those that have no part in it, too. */
  get rouses(): boolean {
    return this.#trial !== undefined && this.#trial.rousing > 0
  }

  /** All threads again, and nothing is known. */
  reset(): void {
    this.#size = this.#most
    this.#usual = this.#least = this.#since = 0
    this.#left.more = this.#left.fewer = pause.least
    this.#trial = undefined
  }

  /** A call by `size` threads has taken so long, with so many meetings; `slept`: some of them fell asleep in it. */
  took(milliseconds: number, meetings: number, slept: boolean): void {
    if (this.#trial) return this.#judge(this.#trial, milliseconds)
    if (this.#most === 1 || (this.#size === this.#most && milliseconds > longStretch * meetings)) return
    this.#since++
    // The first calls, slow ones, soon count no more.
    this.#usual += (milliseconds - this.#usual) / Math.min(this.#since, memory)
    this.#least = this.#least === 0 ? this.#usual : Math.min(this.#least, this.#usual)
    const left = this.#left
    left.more--
    if (slept) left.fewer = this.#since >= memory && this.#usual > slower * this.#least ? 0 : left.fewer - 1
    const fewer = this.#size > 1 && left.fewer <= 0
    const more = !fewer && this.#size < this.#most && left.more <= 0
    if (fewer || more) this.#trial = { more, rousing: more ? patience.rousing : 0, calls: 0, last: [], lost: 0 }
  }

  #judge(trial: Trial, milliseconds: number): void {
    const { more, last } = trial
    trial.lost += milliseconds - this.#usual
    if (trial.rousing > 0) {
      trial.rousing -= milliseconds
      return
    }
    last[trial.calls++ % judged] = milliseconds
    if (last.length < judged) return
    const average = last.reduce((a, b) => a + b) / judged
    const kept = average < gain[more ? 'more' : 'fewer'] * this.#usual
    if (!kept && more && trial.calls < patience.calls) return
    const left = this.#left
    if (kept) {
      left.more = left.fewer = pause.least
      // All calls since there were more have lost.
      if (!more) left.more = pauseAfter((this.#since * (this.#usual - average)) / average)
      this.#size = this.size
      this.#usual = average
      this.#since = judged
    } else left[more ? 'more' : 'fewer'] = pauseAfter(trial.lost / this.#usual)
    this.#trial = undefined
    this.#least = this.#usual
  }
}
