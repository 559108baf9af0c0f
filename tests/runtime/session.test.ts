// Sessions on a fake device whose scores depend on every id before: chunks, fork, rewind, parallel sessions, cancelling, limits.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readArtifact } from '../../runtime/artifact/read.ts'
import { Host } from '../../runtime/host.ts'
import type { GeneratedPiece, GenerateOptions, Session } from '../../runtime/index.ts'
import { argmax, load, Session as SessionClass } from '../../runtime/index.ts'
import { context, chunk, FakeDevice, pack, scoresAfter, vocab } from './fake-model.ts'

const files = await pack()
const open = async (device = new FakeDevice()) => ({ device, model: await load(files, { device }) })
const code = (value: string) => expect.objectContaining({ name: 'LlamacError', code: value })
const id = fc.integer({ min: 3, max: vocab - 1 })

async function all(session: Session, prompt: string | readonly number[], options: GenerateOptions = {}): Promise<GeneratedPiece[]> {
  const pieces: GeneratedPiece[] = []
  for await (const piece of session.generate(prompt, options)) pieces.push(piece)
  return pieces
}

describe('reading', () => {
  test('any way of cutting ids into calls gives the same scores', async () => {
    const { model, device } = await open()
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(id, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 4 }), async (parts) => {
        const session = model.createSession()
        device.log.length = 0
        let scores: ArrayLike<number> | undefined
        for (const part of parts) scores = part.length === 1 ? await session.decode(part[0]!) : await session.prefill(part)
        expect(scores).toEqual(scoresAfter(parts.flat()))
        expect(session.tokens).toEqual(parts.flat())
        expect(device.log.flatMap(({ ids }) => ids)).toEqual(parts.flat())
        expect(Math.max(...device.log.map(({ ids }) => ids.length))).toBeLessThanOrEqual(chunk)
        session.dispose()
      }),
      { numRuns: 50 },
    )
  })

  test('score gives a row per id', async () => {
    const session = (await open()).model.createSession()
    await session.prefill([3, 4])
    const { dims, values } = await session.score([5, 6, 7, 8, 9, 10])
    expect(dims).toEqual([6, vocab])
    expect(values.slice(5 * vocab)).toEqual(scoresAfter([3, 4, 5, 6, 7, 8, 9, 10]))
    expect(session.position).toBe(8)
  })

  test('what does not fit is refused before anything runs', async () => {
    const { model, device } = await open()
    const session = model.createSession()
    const full = Array.from({ length: context }, () => 3)
    await expect(session.prefill([...full, 3])).rejects.toEqual(code('E_CONTEXT_FULL'))
    await expect(session.prefill([3, 4, 5, 6, 7, vocab])).rejects.toEqual(code('E_TOKEN_RANGE'))
    await expect(session.prefill([])).rejects.toEqual(code('E_ARGUMENT'))
    expect(device.log).toEqual([])
    await session.prefill(full)
    await expect(session.decode(3)).rejects.toEqual(code('E_CONTEXT_FULL'))
    session.rewind(-1)
    await session.decode(4)
    expect(session.position).toBe(context)
  })
})

describe('entries by name', () => {
  test('sizes come from lengths, start from the position', async () => {
    const session = (await open()).model.createSession()
    await session.prefill([3, 4])
    expect((await session.entries.prefill!({ tokens: [5, 6] })).values).toEqual(scoresAfter([3, 4, 5, 6]))
    expect((await session.entries.prefill!({ tokens: Int32Array.of(7), start: 1 })).values).toEqual(scoresAfter([3, 7]))
    const { tokens } = session
    expect(tokens).toEqual([3, 7])
    tokens.push(9)
    expect(session.tokens).toEqual([3, 7])
    const [sums, total] = await session.call('add', {
      x: [
        [1, 2],
        [3, 4],
      ],
    })
    expect([sums!.dims, [...sums!.values], total!.dims, total!.values[0]]).toEqual([[2], [3, 7], [], 10])
    expect((await session.call('add', { x: Float32Array.of(1, 2) }))[0]!.dims).toEqual([1])
  })

  test.each([
    ['add', {}, 'E_ARGUMENT'],
    ['add', { x: [1, 2, 3] }, 'E_ARGUMENT'],
    ['add', { x: [1, 2], y: 1 }, 'E_ARGUMENT'],
    ['add', { x: [[1, 2], [3]] }, 'E_ARGUMENT'],
    ['add', { x: [NaN, 1] }, 'E_ARGUMENT'],
    ['add', { x: new Float32Array(8) }, 'E_LIMIT'],
    ['add', { x: 'text' }, 'E_ARGUMENT'],
    ['prefill', { tokens: [1.5] }, 'E_ARGUMENT'],
    ['prefill', { tokens: [-1] }, 'E_TOKEN_RANGE'],
    ['prefill', { tokens: [3], start: context }, 'E_CONTEXT_FULL'],
    ['prefill', { tokens: [3, 3, 3], start: context - 2 }, 'E_CONTEXT_FULL'],
    ['prefill', { tokens: [3], start: -1 }, 'E_LIMIT'],
    ['prefill', { tokens: [3], start: 0.5 }, 'E_ARGUMENT'],
    ['prefill', { tokens: [3, 3, 3, 3, 3, 3] }, 'E_LIMIT'],
    ['nothing', {}, 'E_ENTRY'],
    ['__proto__', {}, 'E_ENTRY'],
  ])('%s(%j) is %s', async (name, args, expected) => {
    const session = (await open()).model.createSession()
    await expect(session.call(name, args as never)).rejects.toEqual(code(expected))
    expect(session.position).toBe(0)
  })
})

describe('generation', () => {
  const greedy = (ids: readonly number[], count: number): number[] => {
    const out = [...ids]
    while (out.length < ids.length + count) out.push(argmax(scoresAfter(out)))
    return out.slice(ids.length)
  }

  test('greedy, from ids; continuing is the same as one run', async () => {
    const { model } = await open()
    await fc.assert(
      fc.asyncProperty(
        fc.array(id, { minLength: 1, maxLength: 7 }),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 8 }),
        async (ids, a, b) => {
          const session = model.createSession()
          const first = await all(session, ids, { maxTokens: a, stopTokens: [] })
          const second = await all(session, [], { maxTokens: b, stopTokens: [] })
          expect([...first, ...second].map(({ token }) => token)).toEqual(greedy(ids, a + b))
          expect(first.at(-1)!.stop).toBe('length')
          expect([...first, ...second].map(({ position }) => position)).toEqual(Array.from({ length: a + b }, (_, i) => ids.length + i))
        },
      ),
      { numRuns: 30 },
    )
  })

  test('draws depend on seed and position alone: fork and rewind replay them', async () => {
    const { model } = await open()
    const options = { temperature: 1, topK: 9, topP: 0.95, maxTokens: 8, stopTokens: [] }
    const session = model.createSession({ seed: 7 })
    await session.prefill([3, 4, 5])
    const fork = session.fork()
    const other = session.fork({ seed: 8 })
    const tokens = (pieces: GeneratedPiece[]) => pieces.map(({ token }) => token)
    const expected = tokens(await all(session, [], options))
    expect(tokens(await all(fork, [], options))).toEqual(expected)
    expect(tokens(await all(other, [], options))).not.toEqual(expected)
    session.rewind(2)
    expect(tokens(await all(session, [5], options))).toEqual(expected)
    session.rewind(0)
    expect(tokens(await all(session, [3, 4, 5], options))).toEqual(expected)
  })

  test('sessions in parallel give what they give one after the other', async () => {
    const prompts = [[3, 4], [5], [6, 7, 8, 9, 10, 11, 12], [13, 3]]
    const run = (session: Session, prompt: number[]) => all(session, prompt, { temperature: 0.9, maxTokens: 10, stopTokens: [] })
    const serial: GeneratedPiece[][] = []
    const first = await open()
    for (const [seed, prompt] of prompts.entries()) serial.push(await run(first.model.createSession({ seed }), prompt))
    const second = await open()
    const parallel = await Promise.all(prompts.map((prompt, seed) => run(second.model.createSession({ seed }), prompt)))
    expect(parallel).toEqual(serial)
    expect(second.device.log.length).toBe(first.device.log.length)
  })

  test('a full context ends it; a prompt that does not fit is an error', async () => {
    const session = (await open()).model.createSession()
    const pieces = await all(session, [3], { stopTokens: [] })
    expect(pieces.at(-1)!.stop).toBe('context')
    expect(pieces).toHaveLength(context)
    expect(session.position).toBe(context)
    await expect(all(session, [3])).rejects.toEqual(code('E_CONTEXT_FULL'))
  })

  test('leaving the loop stops the work and frees the session', async () => {
    const { model, device } = await open()
    const session = model.createSession()
    for await (const { position } of session.generate([3, 4], { stopTokens: [] })) if (position === 4) break
    expect(device.log.map(({ entry }) => entry)).toEqual(['prefill', 'decode', 'decode'])
    expect(session.position).toBe(4)
    await session.decode(5)
  })

  test('aborting: before, while a call is queued, between tokens', async () => {
    const { model } = await open()
    const session = model.createSession()
    await expect(all(session, [3], { signal: AbortSignal.abort('why') })).rejects.toMatchObject({ code: 'E_ABORTED', cause: 'why' })
    const controller = new AbortController()
    const pending = session.prefill(
      Array.from({ length: 20 }, () => 3),
      { signal: controller.signal },
    )
    setTimeout(() => controller.abort(), 3)
    await expect(pending).rejects.toEqual(code('E_ABORTED'))
    expect(session.position % chunk).toBe(0)
    session.rewind(0)
    const later = new AbortController()
    const seen: number[] = []
    await expect(
      (async () => {
        for await (const { token } of session.generate([3], { signal: later.signal, stopTokens: [] })) {
          seen.push(token)
          if (seen.length === 3) later.abort()
        }
      })(),
    ).rejects.toEqual(code('E_ABORTED'))
    expect(seen).toEqual(greedy([3], 3))
  })

  test('text, stop tokens and stop strings', async () => {
    const { model } = await open()
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: fc.constantFrom(...'abcdefghijklm '), maxLength: 6 }), async (prompt) => {
        const plain = await all(model.createSession(), prompt, { maxTokens: 20 })
        const text = plain.map((piece) => piece.text).join('')
        const ended = plain.at(-1)!.stop === 'end'
        expect(plain.slice(0, -1).every(({ token, stop }) => (token > 2 && stop === undefined) || token === 0)).toBe(true)
        if (ended) expect([1, 2]).toContain(plain.at(-1)!.token)
        if (text.length < 4) return
        const stop = text.slice(2, 4)
        const stopped = await all(model.createSession(), prompt, { maxTokens: 20, stop: ['zz', stop] })
        expect(stopped.map((piece) => piece.text).join('')).toBe(text.slice(0, text.indexOf(stop)))
        expect(stopped.at(-1)!.stop).toBe('stop')
      }),
      { numRuns: 40 },
    )
    const session = model.createSession()
    await all(session, '', { maxTokens: 1 })
    expect(session.tokens).toEqual([1]) // no prompt: BOS
  })
})

describe('life', () => {
  test('one call at a time on one session; disposing while it runs', async () => {
    const { model, device } = await open()
    const session = model.createSession()
    const running = session.prefill([3, 4])
    await expect(session.decode(5)).rejects.toEqual(code('E_BUSY'))
    expect(() => session.fork()).toThrow(code('E_BUSY') as never)
    await running
    const last = session.prefill([5])
    session.dispose()
    session.dispose()
    await expect(last).rejects.toEqual(code('E_DISPOSED'))
    await expect(session.prefill([5])).rejects.toEqual(code('E_DISPOSED'))
    await model.dispose()
    await model.dispose()
    expect(device.disposed).toBe(true)
    expect(device.sessions.every(({ live }) => !live)).toBe(true)
    expect(() => model.createSession()).toThrow(/disposed/)
  })

  test('rewind is checked', async () => {
    const session = (await open()).model.createSession()
    await session.prefill([3, 4, 5])
    for (const to of [4, -4, 0.5, NaN]) expect(() => session.rewind(to)).toThrow(/rewind/)
    session.rewind(-2)
    expect(session.tokens).toEqual([3])
  })

  test('a lost device is replaced and the sessions are replayed', async () => {
    const { manifest } = await readArtifact(files)
    const devices = [new FakeDevice(), new FakeDevice()]
    devices[0]!.lostAfter = 4
    const host = new Host(manifest, undefined, devices[0]!, async () => devices[1]!)
    const [a, b] = [new SessionClass(host), new SessionClass(host)]
    await a.prefill([3, 4])
    await b.prefill([9])
    a.rewind(1)
    await a.decode(5)
    const fork = a.fork()
    await b.decode(8)
    expect(await a.decode(6)).toEqual(scoresAfter([3, 5, 6]))
    expect(await b.decode(7)).toEqual(scoresAfter([9, 8, 7]))
    expect(await fork.decode(12)).toEqual(scoresAfter([3, 5, 12]))
    expect(devices[0]!.disposed).toBe(true)
  })
})
