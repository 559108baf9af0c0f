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

function readerOf(model: Model): ReadingEntry {
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

/** The likelihood of `ids` (at least one) on sessions of their own. Errors: those of Session.score and decode, E_NOT_FINITE. */
export async function likelihoodOf(
  model: Model,
  ids: readonly number[],
  options: { readonly context?: number; readonly stride?: number; readonly signal?: AbortSignal } = {},
): Promise<Likelihood> {
  const context = Math.min(options.context ?? Infinity, contextOf(model))
  const stride = Math.min(options.stride ?? Math.ceil(context / 2), context)
  let nats = 0
  let predicted = 1 // ids[0] is given
  for (let start = 0; predicted < ids.length; start += stride) {
    // Nothing is predicted from the last id.
    const end = Math.min(start + context, ids.length - 1)
    nats += await windowNats(model, ids, start, end, predicted, options.signal)
    predicted = end + 1
  }
  if (!Number.isFinite(nats)) throw new LlamacError('E_NOT_FINITE', 'the model gives scores that are not numbers')
  return { nats, predictions: ids.length - 1 }
}

/** Reads ids[start … end) and sums over the predictions of ids[from … end]. */
async function windowNats(
  model: Model,
  ids: readonly number[],
  start: number,
  end: number,
  from: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  using session = model.createSession()
  const read = ids.slice(start, end)
  const abort = signal ? { signal } : {}
  let nats = 0
  if (readerOf(model).entry.role === 'score') {
    const { values, dims } = await session.score(read, abort)
    const vocabulary = dims.at(-1)!
    for (let at = from; at <= end; at++) nats += surprise(values, (at - 1 - start) * vocabulary, vocabulary, ids[at]!)
    return nats
  }
  for (const [i, id] of read.entries()) {
    const scores = await session.decode(id, abort)
    const next = start + i + 1
    if (next >= from) nats += surprise(scores, 0, scores.length, ids[next]!)
  }
  return nats
}
