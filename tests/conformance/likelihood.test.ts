// Mean negative log-likelihood of stories260K on a text, a number from outside: every position of long sequences counts, where
// greedy texts forgive small errors.

import { expect, test } from 'vitest'
import { compileForTest } from '../support/compiled.ts'
import { dataText } from '../support/goldens.ts'
import { surprise } from '../support/surprise.ts'

const wanted = 1.26414
const predictions = 1802

/** The texts as the number was made: apart at <|endoftext|>, trimmed, curly quotes as ASCII. */
const texts = dataText('text/tinystories_sample.txt')
  .split('<|endoftext|>')
  .map((text) => text.trim().replace(/[‘’]/g, "'").replace(/[“”]/g, '"'))
  .filter((text) => text !== '')

test.each(['wasm', 'reference', 'webgpu'] as const)(
  'of the sample on %s',
  async (device) => {
    const compiled = await compileForTest({
      model: 'llama',
      checkpoint: 'checkpoints/stories260K.legacy.bin',
      tokenizer: 'checkpoints/tok512.bin',
      targets: ['wasm', 'webgpu', 'reference'],
      maxSeq: 512,
    })
    await using model = await compiled.open(device)
    let [total, count] = [0, 0]
    for (const text of texts) {
      const ids = model.tokenizer!.encode(text)
      expect(ids[0]).toBe(model.tokenizer!.bos)
      const session = model.createSession()
      // Nothing is predicted from the last id.
      const { values, dims } = await session.score(ids.slice(0, -1))
      for (let i = 1; i < ids.length; i++) total += surprise(values, i - 1, dims[1]!, ids[i]!)
      count += ids.length - 1
      session.dispose()
    }
    expect(count).toBe(predictions)
    expect(Math.abs(total / count - wanted)).toBeLessThan(0.0005)
  },
  900_000,
)
