// What a prediction cost, from a table of scores.

/** −ln softmax(row)[id] in nats, in f64. */
export function surprise(scores: ArrayLike<number>, row: number, vocab: number, id: number): number {
  let most = -Infinity
  for (let i = 0; i < vocab; i++) most = Math.max(most, scores[row * vocab + i]!)
  let sum = 0
  for (let i = 0; i < vocab; i++) sum += Math.exp(scores[row * vocab + i]! - most)
  return most + Math.log(sum) - scores[row * vocab + id]!
}
