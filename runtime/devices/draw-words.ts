// What a sampler on the GPU is told of a draw, as words of its uniform.
import { samplingWords } from '../artifact/webgpu-program.ts'
import type { DrawOptions } from './device.ts'

/** The words that the sampler is given, as samplingWords has them. */
export function drawWords(how: DrawOptions): Int32Array<ArrayBuffer> {
  const words = new Int32Array(samplingWords.length)
  const floats = new Float32Array(words.buffer)
  const integer = (value: number): number => Math.min(value, 2 ** 31 - 1)
  const integers = {
    position: how.position,
    seed_low: how.seed,
    seed_high: Math.floor(how.seed / 2 ** 32),
    top_k: integer(how.topK),
    window: integer(how.repetitionWindow),
  }
  const reals = { temperature: how.temperature, top_p: how.topP, min_p: how.minP, penalty: how.repetitionPenalty }
  for (const [i, name] of samplingWords.entries()) {
    if (name in reals) floats[i] = reals[name as keyof typeof reals]
    else words[i] = integers[name as keyof typeof integers]
  }
  return words
}
