// What every decoder must show against golden sequences, wherever it runs: the logits of every position, the greedy ids, and the
// same scores however a prompt is cut into calls.

import { expect } from 'vitest'
import { argmax } from '../../runtime/index.ts'
import { type GoldenSequence, normalisedError, worstDifference } from './goldens.ts'
import type { PlaceModel } from './places.ts'

/** max |a − b| / rms(b) of each sequence at most `tolerance`. */
export async function expectLogits(model: PlaceModel, sequences: readonly GoldenSequence[], tolerance: number): Promise<void> {
  for (const { ids, logits } of sequences) {
    const session = model.createSession()
    const { values } = await session.score(ids)
    expect(worstDifference(values, logits), `${ids.length} ids`).toBeLessThanOrEqual(tolerance)
    session.dispose()
  }
}

export async function expectGreedy(model: PlaceModel, sequences: readonly GoldenSequence[]): Promise<void> {
  for (const { ids, greedy } of sequences) {
    expect(greedy.length).toBeGreaterThan(0)
    const session = model.createSession()
    const tokens: number[] = []
    for await (const { token } of session.generate(ids, { maxTokens: greedy.length, stopTokens: [] })) tokens.push(token)
    expect(tokens).toEqual(greedy)
    session.dispose()
  }
}

/** Scores after `ids`, read in pieces of `size`. */
export async function readIn(model: PlaceModel, ids: readonly number[], size: number): Promise<Float64Array> {
  const session = model.createSession()
  let scores: ArrayLike<number> = []
  for (let at = 0; at < ids.length; at += size) {
    const piece = ids.slice(at, at + size)
    scores = piece.length === 1 ? await session.decode(piece[0]!) : await session.prefill(piece)
  }
  session.dispose()
  return Float64Array.from(scores)
}

/** All at once, one by one, by twos and by fives. */
export async function expectSameInPieces(model: PlaceModel, sequences: readonly GoldenSequence[]): Promise<void> {
  for (const { ids, logits, vocab } of sequences) {
    const last = logits.subarray(logits.length - vocab)
    for (const size of new Set([ids.length, ...[1, 2, 5].filter((size) => size < ids.length)])) {
      const scores = await readIn(model, ids, size)
      expect(argmax(scores), `pieces of ${size}`).toBe(argmax(last))
      expect(normalisedError(scores, last), `pieces of ${size}`).toBeLessThanOrEqual(1e-10)
    }
  }
}
