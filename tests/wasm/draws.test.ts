// Tokens are chosen where the scores lie: the same as from scores that were brought here, with all options and in whatever order a session
// generates, reads, goes back and forks.
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { uniform } from '../../runtime/philox.ts'
import type { Session } from '../../runtime/index.ts'
import { compileForTest } from '../support/compiled.ts'

const compiled = await compileForTest({ model: 'llama', checkpoint: 'hf-golden/llama-gqa', targets: ['wasm'], maxSeq: 4 })
const models = await Promise.all([compiled.open('wasm'), compiled.open('wasm', { threads: 2 })])
afterAll(() => Promise.all(models.map((model) => model.dispose())))

const id = fc.integer({ min: 3, max: 99 })
const ids = fc.array(id, { minLength: 1, maxLength: 6 })
const how = fc.record(
  {
    temperature: fc.constantFrom(0, 0.5, 1, 3),
    topK: fc.constantFrom(0, 1, 5, 1000),
    topP: fc.constantFrom(0, 0.5, 0.9, 1),
    minP: fc.constantFrom(0, 0.1),
    repetitionPenalty: fc.constantFrom(1, 1.5),
    repetitionWindow: fc.constantFrom(0, 3, 64),
  },
  { requiredKeys: ['temperature'] },
)
const step = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('generate'),
      ids,
      how,
      tokens: fc.integer({ min: 1, max: 8 }),
      leaveAfter: fc.integer({ min: 1, max: 9 }),
    }),
  },
  fc.record({ kind: fc.constant('read'), ids }),
  fc.record({ kind: fc.constant('rewind'), by: fc.nat(4) }),
  fc.record({ kind: fc.constant('fork') }),
)

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

async function play(from: Session, steps: readonly Step[], here: boolean): Promise<unknown[]> {
  let session = from
  const log: unknown[] = []
  for (const each of steps) {
    if (each.kind === 'generate') {
      let shown = 0
      const { seed } = session
      // Whoever brings numbers of their own has scores brought here: they are the ones that the device makes.
      const options = { ...each.how, ...(here ? { random: (position: number) => uniform(seed, position) } : {}) }
      for await (const { token, stop } of session.generate(each.ids, { ...options, maxTokens: each.tokens, stopTokens: [] })) {
        log.push(token, stop)
        if (++shown >= each.leaveAfter) break
      }
    } else if (each.kind === 'read') log.push([...(await session.prefill(each.ids))])
    else if (each.kind === 'rewind') session.rewind(-Math.min(each.by, session.position))
    else session = session.fork()
    log.push([...session.tokens])
  }
  return log
}

test.each([
  ['one thread', 0],
  ['two threads', 1],
] as const)('on %s', async (_, which) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 5 }), fc.nat(), async (steps, seed) => {
      using there = models[which].createSession({ seed })
      using here = models[which].createSession({ seed })
      expect(await play(there, steps, false)).toEqual(await play(here, steps, true))
    }),
    { numRuns: 60 },
  )
})
