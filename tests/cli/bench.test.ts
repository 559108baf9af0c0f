import fc from 'fast-check'
import { expect, test } from 'vitest'
import { figuresIn, runPeer } from '../../cli/measure/peers.ts'
import { spreadOf } from '../../cli/measure/spread.ts'
import { workOfCall } from '../../compiler/kernel/work.ts'
import { compile, packageSources } from '../../compiler/index.ts'
import { llamac } from './llamac.ts'

const tiny = ['models/llama.dsl', '--preset', 'tiny', '--seed-weights', '1']

// Sizes of the preset tiny.
const [vocab, embed, depth, heads, kvHeads, ffn] = [256, 64, 2, 4, 2, 172]
const kv = (embed / heads) * kvHeads
const layer = embed * (2 * embed + 2 * kv + 3 * ffn)

test.each([
  // A row of 172 is no whole number of blocks, so `down` is f16 then; q8_0 has 34 bytes for 32 values.
  ['none', 4, 4, 0],
  ['q8_0', 34 / 32, 2, 1],
] as const)('work of a token, weights %s, is that of the formula', async (quant, bytes, downBytes, quantised) => {
  const result = await compile(packageSources(), { entry: 'models/llama.dsl', preset: 'tiny', seedWeights: 1, quant })
  if (!result.ok) throw new Error('the model does not compile')
  const program = result.compilation.results[0]!.programs.find(({ entry }) => entry === 'decode')!
  const start = 37
  const { bytes: counted, madds, dots } = workOfCall(program, { start })
  const down = depth * embed * ffn
  const weights = (vocab * embed + depth * layer - down) * bytes + down * downBytes + embed * bytes
  // Per layer: keys and values of all positions are read, one of each is written. Norms, and rows of the position tables.
  const states = depth * 2 * (start + 2) * kv * 4
  const small = (2 * depth + 1) * embed * 4 + depth * 4 * (embed / heads) * 4
  expect(counted).toBeGreaterThanOrEqual(weights + states)
  expect(counted).toBeLessThanOrEqual(weights + states + small)
  const attention = depth * 2 * (start + 1) * embed
  const products = vocab * embed + depth * layer
  expect(dots).toBe(quantised * (products - down))
  // Norms multiply too, a little.
  expect(madds - attention - (products - dots)).toBeGreaterThanOrEqual(0)
  expect(madds - attention - (products - dots)).toBeLessThanOrEqual((2 * depth + 1) * embed * 2)
})

test('figures stand in a table, rates in order of size within their rounds', () => {
  const { status, stdout } = llamac(
    'bench',
    ...tiny,
    '--prefill',
    '8,16',
    '--decode',
    '4',
    '--rounds',
    '3',
    '--kernels',
    '--compare',
    'echo=echo "{\\"decode\\": $LLAMAC_DECODE$LLAMAC_THREADS}"',
    '--compare',
    'nap=true',
  )
  expect(status).toBe(0)
  const masked = stdout
    .replaceAll(/\d+([.,]\d+)*(e[+-]\d+)?/g, '#')
    .replaceAll(/ +/g, ' ')
    .split('\n')
  const [table, kernels] = [
    masked.slice(
      0,
      masked.findIndex((line) => line.startsWith('prefill (seq')),
    ),
    masked.filter((line) => /^(prefill|decode)_#_/.test(line)),
  ]
  expect(table.join('\n')).toBe(`Llama tiny: # parameters, # MiB as f#, fast math, on wasm, # rounds
threads median rounds of the machine
 # load # ms
 # first token # ms
 # prefill # # tokens/s # .. # # % of its arithmetic
 # prefill # # tokens/s # .. # # % of its arithmetic
 # decode # # tokens/s # .. #
 # fastest token # tokens/s # .. # # % of its bandwidth, # GB/s; # % of its arithmetic
 # echo: decode # tokens/s # .. # this is # times as fast
 # nap # s # .. #
a token of decode needs # MB of weights, states and tables
memory: # MiB now, # MiB at most`)
  expect(kernels.length).toBeGreaterThan(10)
  for (const line of kernels) expect(line).toMatch(/^(prefill|decode)_#_\w+ # # # %( #){0,2}$/)
})

test('JSON holds every round, and the shares follow from it', () => {
  const { status, stdout } = llamac('bench', ...tiny, '--prefill', '8', '--decode', '4', '--rounds', '3', '--threads', '1,2', '--json')
  expect(status).toBe(0)
  type Spread = ReturnType<typeof spreadOf>
  const report = JSON.parse(stdout) as {
    bytes_per_token: number
    threads: { threads: number; decode: { fastest: Spread; share: Spread }; machine: { readBytes: Spread } }[]
  }
  expect(report.threads.map(({ threads }) => threads)).toEqual([1, 2])
  for (const { decode, machine } of report.threads) {
    expect(decode.fastest.all.length).toBe(3)
    decode.share.all.forEach((share, round) =>
      expect(share).toBeCloseTo((report.bytes_per_token * decode.fastest.all[round]!) / machine.readBytes.all[round]! / 1e9, 2),
    )
  }
})

test('wrong flags are wrong usage; a peer that fails is an error', async () => {
  for (const wrong of [
    ['--prefill', 'x'],
    ['--threads', '0'],
    ['--compare', 'nothing'],
    ['--rounds', '0'],
  ]) {
    expect([wrong, llamac('bench', ...tiny, ...wrong).status]).toEqual([wrong, 2])
  }
  const { signal } = new AbortController()
  const task = { prefill: 8, decode: 4, threads: 2 }
  await expect(runPeer({ name: 'peer', command: 'echo bad news >&2; exit 3' }, task, signal)).rejects.toMatchObject({
    code: 'E_PEER',
    message: 'peer ended with exit code 3: bad news',
  })
  expect(Object.keys(await runPeer({ name: 'peer', command: 'echo decode' }, task, signal))).toEqual(['seconds'])
})

test('a peer is told what to measure', async () => {
  const command = `echo "{\\"prefill\\": $LLAMAC_PREFILL$LLAMAC_THREADS, \\"decode\\": $LLAMAC_DECODE}"`
  const figures = await runPeer({ name: 'peer', command }, { prefill: 128, decode: 32, threads: 2 }, new AbortController().signal)
  expect(figures).toEqual({ prefill: 1282, decode: 32 })
})

test('the last line that tells a rate counts', () => {
  expect(figuresIn('loading\n{"decode": 1}\n{"decode": 2.5, "prefill": 7}\n{not json\ndone')).toEqual({ decode: 2.5, prefill: 7 })
  expect(figuresIn('{"decode": -1}\n{"tokens": 3}\nnull')).toBeUndefined()
})

test('a spread lies within its rounds', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 1, maxLength: 9 }), (values) => {
      const { min, median, max } = spreadOf(values)
      expect(min <= median && median <= max).toBe(true)
      expect(values.filter((value) => value < median).length).toBeLessThanOrEqual(values.length / 2)
      expect(values.filter((value) => value > median).length).toBeLessThanOrEqual(values.length / 2)
    }),
  )
})
