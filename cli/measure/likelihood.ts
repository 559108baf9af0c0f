// How well a model predicts a text: −ln of the probability of each token after those before it, summed in f64. A text that is
// longer than the context is read in windows that overlap: each begins `stride` tokens after the one before, and counts only
// what that one had not predicted, so that all but the first tokens have at least context − stride before them.

import { LlamacError } from '../../runtime/error.ts'
import type { Model } from '../../runtime/index.ts'
import { findRoles, type ReadingEntry, roomAt } from '../../runtime/roles.ts'

export interface Likelihood {
  /** Sum of −ln p. */
  readonly nats: number
  /** Tokens that were predicted: all but the first. */
  readonly predictions: number
}

/** ln Σ exp of `length` scores from `offset` on. */
export function logSumExp(scores: ArrayLike<number>, offset = 0, length = scores.length): number {
  let most = -Infinity
  for (let i = 0; i < length; i++) most = Math.max(most, scores[offset + i]!)
  let sum = 0
  for (let i = 0; i < length; i++) sum += Math.exp(scores[offset + i]! - most)
  return most + Math.log(sum)
}

/** −ln softmax(row)[id], where `row` are `length` scores from `offset` on. */
export const surprise = (scores: ArrayLike<number>, offset: number, length: number, id: number): number =>
  logSumExp(scores, offset, length) - scores[offset + id]!

export function readerOf(model: Model): ReadingEntry {
  const { score, prefill, decode } = findRoles(model.manifest)
  const reader = score ?? decode ?? prefill
  if (!reader)
    throw new LlamacError('E_ENTRY', `${model.manifest.model} has no entry that gives scores of the next token: score, decode or prefill`)
  return reader
}

/** Most ids that the model can have read when it predicts the next one. */
export function contextOf(model: Model): number {
  const reader = readerOf(model)
  return reader.positioned ? roomAt(reader, 0, {}) : reader.most
}

export interface Windows {
  readonly context?: number
  readonly stride?: number
  readonly signal?: AbortSignal
}

/** The scores of one prediction: `length` numbers of `scores` from `offset` on, for the token `id`. Read before the next is asked for. */
interface Prediction {
  readonly scores: ArrayLike<number>
  readonly offset: number
  readonly length: number
  readonly id: number
}

const surpriseOf = ({ scores, offset, length, id }: Prediction): number => surprise(scores, offset, length, id)

/** Every prediction of `ids` but for the first, in order, on sessions of their own. Errors: those of Session.score and decode. */
async function* predictions(model: Model, ids: readonly number[], options: Windows): AsyncGenerator<Prediction, void, void> {
  const context = Math.min(options.context ?? Infinity, contextOf(model))
  const stride = Math.min(options.stride ?? Math.ceil(context / 2), context)
  let predicted = 1 // ids[0] is given
  for (let start = 0; predicted < ids.length; start += stride) {
    // Nothing is predicted from the last id.
    const end = Math.min(start + context, ids.length - 1)
    yield* inWindow(model, ids, start, end, predicted, options.signal)
    predicted = end + 1
  }
}

/** Reads ids[start … end), gives the predictions of ids[from … end]. */
async function* inWindow(
  model: Model,
  ids: readonly number[],
  start: number,
  end: number,
  from: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Prediction, void, void> {
  using session = model.createSession()
  const read = ids.slice(start, end)
  const abort = signal ? { signal } : {}
  if (readerOf(model).entry.role === 'score') {
    const { values: scores, dims } = await session.score(read, abort)
    const length = dims.at(-1)!
    for (let at = from; at <= end; at++) yield { scores, offset: (at - 1 - start) * length, length, id: ids[at]! }
    return
  }
  for (const [i, id] of read.entries()) {
    const scores = await session.decode(id, abort)
    const next = start + i + 1
    if (next >= from) yield { scores, offset: 0, length: scores.length, id: ids[next]! }
  }
}

const expectNumber = (nats: number): void => {
  if (!Number.isFinite(nats)) throw new LlamacError('E_NOT_FINITE', 'the model gives scores that are not numbers')
}

/** The likelihood of `ids` (at least one). Errors: those of Session.score and decode, E_NOT_FINITE. */
export async function likelihoodOf(model: Model, ids: readonly number[], options: Windows = {}): Promise<Likelihood> {
  let nats = 0
  for await (const prediction of predictions(model, ids, options)) nats += surpriseOf(prediction)
  expectNumber(nats)
  return { nats, predictions: ids.length - 1 }
}

/** A model beside another that it should be like, over the same predictions. */
export interface Comparison extends Likelihood {
  /** Sum of −ln p of the other. */
  readonly otherNats: number
  /** KL(other ‖ model) of each prediction: what it costs to take the model's distribution for the other's, in nats. */
  readonly divergences: readonly number[]
  /** Predictions for which both give the same token the highest score. */
  readonly sameBest: number
}

/** Both read the same windows in step. Errors as `likelihoodOf`; E_AGAINST for vocabularies of two sizes. */
export async function compareOn(model: Model, other: Model, ids: readonly number[], options: Windows = {}): Promise<Comparison> {
  const context = Math.min(options.context ?? Infinity, contextOf(model), contextOf(other))
  const windows = { ...options, context }
  const theirs = predictions(other, ids, windows)
  let [nats, otherNats, sameBest] = [0, 0, 0]
  const divergences: number[] = []
  for await (const own of predictions(model, ids, windows)) {
    const { value } = await theirs.next()
    if (!value) throw new Error('internal: two models predict a text differently often')
    if (value.length !== own.length) {
      throw new LlamacError('E_AGAINST', `the models score ${own.length} and ${value.length} tokens: their predictions cannot be compared`)
    }
    nats += surpriseOf(own)
    otherNats += surpriseOf(value)
    divergences.push(divergence(value, own))
    if (bestOf(own) === bestOf(value)) sameBest++
  }
  expectNumber(nats + otherNats)
  return { nats, otherNats, predictions: ids.length - 1, divergences, sameBest }
}

/** Σ p (ln p − ln q), p and q being the softmax of each side's scores. */
function divergence(p: Prediction, q: Prediction): number {
  const [lnP, lnQ] = [p, q].map(({ scores, offset, length }) => logSumExp(scores, offset, length))
  let sum = 0
  for (let i = 0; i < p.length; i++) {
    const log = p.scores[p.offset + i]! - lnP!
    sum += Math.exp(log) * (log - (q.scores[q.offset + i]! - lnQ!))
  }
  return sum
}

function bestOf({ scores, offset, length }: Prediction): number {
  let best = 0
  for (let i = 1; i < length; i++) if (scores[offset + i]! > scores[offset + best]!) best = i
  return best
}
