// The module's choice of the highest score against the runtime's, which defines it: any bits, ties, infinities, NaNs, all lengths.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { buildModule } from '../../compiler/targets/wasm/module.ts'
import { wasmSampler } from '../../runtime/artifact/wasm-sampler.ts'
import { argmax } from '../../runtime/sampling.ts'

const place = 4096 + 4
const most = 80

const chosen = (scores: Float32Array): number => {
  try {
    return argmax(scores)
  } catch {
    return -1
  }
}

test.each([false, true])('first of the highest, as the sampler takes it; 64-bit addresses: %s', (wide) => {
  const program = { kernels: [], entries: [], data: [], memoryBytes: 65536, ownBase: 0, wide }
  const { binary } = buildModule(program, { relaxed: false })
  const memory = new WebAssembly.Memory(
    (wide ? { address: 'i64', initial: 1n, maximum: 262144n } : { initial: 1, maximum: 65536 }) as never,
  )
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(binary), { env: { memory } })
  const choose = exports[wasmSampler.firstMaximum] as (address: number, count: number) => number
  const words = new Uint32Array(memory.buffer)
  const few = fc.constantFrom(0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f7fffff, 0xff7fffff)
  const odd = fc.constantFrom(0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001)
  const word = fc.oneof(
    { weight: 8, arbitrary: few },
    { weight: 1, arbitrary: odd },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 2 ** 32 - 1 }) },
  )
  const lists = fc.oneof(
    fc.array(word, { maxLength: most }),
    fc.array(few, { maxLength: most }),
    fc.array(fc.constantFrom(0xff800000, 0x7fc00000), { maxLength: most }),
  )
  fc.assert(
    fc.property(lists, (bits) => {
      // What lies behind is higher than all.
      words.fill(0x7f7fffff, place / 4, place / 4 + most + 16)
      words.set(bits, place / 4)
      const scores = new Float32Array(memory.buffer, place, bits.length)
      expect(choose(place, bits.length)).toBe(chosen(scores))
    }),
    { numRuns: 3000 },
  )
})
