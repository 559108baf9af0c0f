// node bench/kernels.ts [pattern] [--json] [--hot] [--plain|--words|--pairs]: what the schedules of packed matrices reach on this machine, beside its ceilings
// measured in the same process. 1 GMAC/s = 1e9 multiply-adds a second. --plain: without relaxed SIMD; --words, --pairs: with
// its 32-bit or its 16-bit dots of bytes, by default those that this engine is faster with. --hot: no streaming. Results are checked
// against f64 before they are printed.

import { constant as sizeOf, symbol as symbolSize } from '../dsl/affine.ts'
import { formats } from '../compiler/formats/index.ts'
import type { FormatName } from '../compiler/formats/types.ts'
import type { Expr, Index, Kernel } from '../compiler/kernel/types.ts'
import { schedule } from '../compiler/schedule/index.ts'
import { wasmMachine } from '../compiler/schedule/machine.ts'
import { a8, centrings } from '../compiler/schedule/activation-blocks.ts'
import { verifyLoops } from '../compiler/schedule/verify-loops.ts'
import { measureCeilings } from '../cli/measure/ceilings.ts'
import { relaxedSimd } from '../runtime/devices/relaxed-simd.ts'
import { type Bench, measure, type Timing } from '../cli/measure/time-loops.ts'

const flags = process.argv.slice(2)
const pattern = new RegExp(flags.find((f) => !f.startsWith('--')) ?? '.')
const relaxed = !flags.includes('--plain')
const pairs = relaxed && !flags.includes('--words') && (flags.includes('--pairs') || (await relaxedSimd()).pairDots)
const most = 256

/** out[s, r] = Σ_k w[r, k]·x[s, k]; of a single token without s, as in a decoded one. */
function matrixKernel(name: string, format: FormatName, bytes: boolean, rows: number, k: number, single: boolean): Kernel {
  const axis = (id: string): Index => ({ kind: 'axis', axis: id })
  const w: Expr = { kind: 'load', operand: 0, index: [axis('r'), axis('k')], dtype: 'f32' }
  const tokens: Index[] = single ? [] : [axis('s')]
  const sizes = single ? [] : [symbolSize('s')]
  const x: Expr = { kind: 'load', operand: 1, index: [...tokens, axis('k')], dtype: 'f32' }
  return {
    name,
    axes: [...sizes.map((extent) => ({ id: 's', extent })), { id: 'r', extent: sizeOf(rows) }, { id: 'k', extent: sizeOf(k) }],
    operands: [
      {
        source: { kind: 'weight', path: 'w' },
        dims: [sizeOf(rows), sizeOf(k)],
        dtype: 'f32',
        format,
        layout: 'r8',
        matrix: { rows, k },
        access: 'read',
      },
      {
        source: { kind: 'value', id: 'x' },
        dims: [...sizes, sizeOf(k)],
        dtype: 'f32',
        format: bytes ? 'a8' : 'f32',
        layout: 'plain',
        access: 'read',
      },
      { source: { kind: 'value', id: 'y' }, dims: [...sizes, sizeOf(rows)], dtype: 'f32', format: 'f32', layout: 'plain', access: 'write' },
    ],
    definitions: [
      {
        dtype: 'f32',
        free: [...sizes.map(() => 's'), 'r'],
        over: ['k'],
        combine: 'sum',
        body: { kind: 'call', fn: 'mul', args: [w, x], dtype: 'f32' },
      },
    ],
    outputs: [
      {
        operand: 2,
        axes: [...sizes.map(() => 's'), 'r'],
        index: [...tokens, axis('r')],
        value: { kind: 'value', definition: 0, dtype: 'f32' },
      },
    ],
  }
}

const headSize = 64
const positions = 512
const start = 300

/** Keys of a layer: rows turned by position (halves of a head are pairs) and stored into a cache at `start`. */
function rotatedKernel(name: string, format: FormatName, bytes: boolean, rows: number, k: number): Kernel {
  const half = headSize / 2
  const axis = (id: string): Index => ({ kind: 'axis', axis: id })
  const plus = (a: Index, b: Index): Index => ({ kind: 'add', a, b })
  const position = plus({ kind: 'symbol', name: 'start' }, axis('s'))
  const upper = plus(axis('r'), { kind: 'const', value: half })
  const load = (operand: number, ...index: Index[]): Expr => ({ kind: 'load', operand, index, dtype: 'f32' })
  const call = (fn: 'mul' | 'add' | 'sub', ...args: Expr[]): Expr => ({ kind: 'call', fn, args, dtype: 'f32' })
  const dot = (row: Index) =>
    ({
      dtype: 'f32',
      free: ['s', 'h', 'r'],
      over: ['k'],
      combine: 'sum',
      body: call('mul', load(1, axis('s'), axis('k')), load(0, axis('h'), row, axis('k'))),
    }) as const
  const value = (definition: number): Expr => ({ kind: 'value', definition, dtype: 'f32' })
  const [cos, sin] = [load(2, position, axis('r')), load(3, position, axis('r'))]
  const plain = { dtype: 'f32', format: 'f32', layout: 'plain' } as const
  const [heads, s] = [sizeOf(rows / headSize), symbolSize('s')]
  return {
    name,
    axes: [
      { id: 's', extent: s },
      { id: 'h', extent: heads },
      { id: 'r', extent: sizeOf(half) },
      { id: 'k', extent: sizeOf(k) },
    ],
    operands: [
      {
        source: { kind: 'weight', path: 'w' },
        dims: [heads, sizeOf(headSize), sizeOf(k)],
        dtype: 'f32',
        format,
        layout: 'r8',
        matrix: { rows, k },
        access: 'read',
      },
      { ...plain, source: { kind: 'value', id: 'x' }, dims: [s, sizeOf(k)], format: bytes ? 'a8' : 'f32', access: 'read' },
      { ...plain, source: { kind: 'constant', id: 'cos' }, dims: [sizeOf(positions), sizeOf(half)], access: 'read' },
      { ...plain, source: { kind: 'constant', id: 'sin' }, dims: [sizeOf(positions), sizeOf(half)], access: 'read' },
      { ...plain, source: { kind: 'state', path: 'keys' }, dims: [sizeOf(positions), heads, sizeOf(headSize)], access: 'write' },
    ],
    definitions: [dot(axis('r')), dot(upper)],
    outputs: [
      {
        operand: 4,
        axes: ['s', 'h', 'r'],
        index: [position, axis('h'), axis('r')],
        value: call('sub', call('mul', value(0), cos), call('mul', value(1), sin)),
      },
      {
        operand: 4,
        axes: ['s', 'h', 'r'],
        index: [position, axis('h'), upper],
        value: call('add', call('mul', value(1), cos), call('mul', value(0), sin)),
      },
    ],
  }
}

const angle = (position: number, r: number): number => position * 10000 ** (-r / (headSize / 2))
const table =
  (of: (angle: number) => number) =>
  (w: Int32Array): void => {
    const floats = new Float32Array(w.buffer, w.byteOffset, w.length)
    for (let i = 0; i < floats.length; i++) floats[i] = of(angle(Math.floor(i / (headSize / 2)), i % (headSize / 2)))
  }

let state = 1
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) | 0
  return (state >>> 8) / 2 ** 24 - 0.5
}

/** Activations as 8-bit blocks; gives their values. */
function fillBytes(words: Int32Array, count: number): Float64Array {
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.length * 4)
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length)
  const values = new Float64Array(count)
  for (let b = 0; b < count / a8.k; b++) {
    const d = Math.fround(0.01 + Math.abs(random()) / 50)
    const block: number[] = []
    for (let i = 0; i < a8.k; i++) {
      const q = Math.round(random() * 254)
      block.push(q)
      values[b * a8.k + i] = q * d
      for (const [place, byte] of [
        [0, q & 255],
        [a8.positive, Math.max(q, 0)],
        [a8.negative, Math.max(-q, 0)],
      ] as const)
        bytes[(b * a8.words + place) * 4 + i] = byte
    }
    floats[b * a8.words + a8.scale] = d * a8.factor
    const sum = block.reduce((a, b) => a + b)
    floats[b * a8.words + a8.sum] = d * sum * a8.factor
    floats[b * a8.words + a8.step] = d
    floats[b * a8.words + a8.total] = d * sum
    for (const [word, value] of centrings(block)) words[b * a8.words + word] = value
  }
  return values
}

function matrixBench(
  formatName: FormatName,
  bytes: boolean,
  tokens: number,
  rotated = false,
  rows = 576,
  k = formats[formatName].values === 256 ? 768 : 576,
): Bench {
  const format = formats[formatName]
  const shape = rows === 576 && k <= 768 ? '' : `, ${rows} x ${k}`
  const name = `${formatName} x ${bytes ? 'a8' : 'f32'}${rotated ? ', turned and stored' : ''}${shape}, ${tokens} token${tokens === 1 ? '' : 's'}`
  const bounds = new Map([
    ['s', { min: 1, max: most }],
    ['start', { min: 0, max: positions - most }],
  ])
  const single = tokens === 1 && !rotated
  const kernel = rotated ? rotatedKernel('matrix', formatName, bytes, rows, k) : matrixKernel('matrix', formatName, bytes, rows, k, single)
  const fn = schedule(kernel, wasmMachine, bounds)
  verifyLoops(fn)
  // One group of 8 rows, repeated: its values do not matter, its scales must be no denormals.
  const plain = new Uint8Array(((8 * k) / format.values) * format.bytes)
  const weights = new Float32Array(8 * k)
  format.encode(
    Float32Array.from(weights, () => random() / 5),
    plain,
  )
  format.decode(plain, weights)
  const group = new Uint8Array((k / format.r8Block.k) * format.r8Block.bytes)
  format.packGroup(plain, k, group)
  let activations: Float64Array = new Float64Array(0)
  const activationWords = tokens * (bytes ? (k / a8.k) * a8.words : k)
  return {
    name,
    fn,
    operands: [
      {
        words: (rows / 8) * (group.length / 4),
        fill: (w) => {
          for (let g = 0; g < rows / 8; g++) new Uint8Array(w.buffer, w.byteOffset).set(group, g * group.length)
        },
      },
      {
        words: activationWords,
        fill: (w) => {
          if (bytes) activations = fillBytes(w, tokens * k)
          else {
            const floats = new Float32Array(w.buffer, w.byteOffset, w.length).map(random)
            new Float32Array(w.buffer, w.byteOffset, w.length).set(floats)
            activations = Float64Array.from(floats)
          }
        },
      },
      ...(rotated
        ? [
            { words: positions * (headSize / 2), fill: table(Math.cos) },
            { words: positions * (headSize / 2), fill: table(Math.sin) },
            { words: positions * rows },
          ]
        : [{ words: tokens * rows }]),
    ],
    // Many tokens use each weight so often that where it comes from does not show.
    ...(tokens <= 4 ? { streamed: 0 } : {}),
    symbols: rotated ? { s: tokens, start } : single ? {} : { s: tokens },
    macs: rows * k * tokens,
    check(operand) {
      const words = operand(rotated ? 4 : 2)
      const out = new Float32Array(words.buffer, words.byteOffset, words.length)
      const [exact, size] = [new Float64Array(rows), new Float64Array(rows)]
      const half = headSize / 2
      for (let t = 0; t < tokens; t++) {
        for (let r = 0; r < rows; r++) {
          ;[exact[r], size[r]] = [0, 0]
          for (let i = 0; i < k; i++) {
            const product = weights[(r & 7) * k + i]! * activations[t * k + i]!
            exact[r]! += product
            size[r]! += Math.abs(product)
          }
        }
        for (let r = 0; r < rows; r++) {
          const place = r % headSize
          const other = place < half ? r + half : r - half
          const by = angle(start + t, place % half)
          const wanted = rotated ? exact[r]! * Math.cos(by) + (place < half ? -1 : 1) * exact[other]! * Math.sin(by) : exact[r]!
          const got = out[(rotated ? start + t : t) * rows + r]!
          if (!(Math.abs(got - wanted) <= 1e-6 * (size[r]! + size[other % rows]!)))
            throw new Error(`${name}: row ${r} of token ${t} is ${got}, not ${wanted}`)
        }
      }
    },
  }
}

const cases = (['q4_1', 'q4_0', 'q4_k', 'q5_0', 'q5_1', 'q5_k', 'q6_k', 'q8_0', 'f16', 'f32'] as const).flatMap((format) => {
  const modes = format.startsWith('q') ? [true, false] : [false]
  return modes.flatMap((bytes) => [1, 4, 128].map((tokens) => () => matrixBench(format, bytes, tokens)))
})

cases.push(
  ...(['q4_1', 'q8_0', 'f32'] as const).flatMap((format) =>
    [1, 4].map((tokens) => () => matrixBench(format, format !== 'f32', tokens, true)),
  ),
)

// Longer rows: activations of many tokens are more than a cache holds.
for (const [rows, k] of [
  [1536, 576],
  [576, 1536],
] as const)
  cases.push(...[1, 128].map((tokens) => () => matrixBench('q4_1', true, tokens, false, rows, k)))

const ceilings = measureCeilings(relaxed)
const timings: Timing[] = []
const json = flags.includes('--json')
const n = (x: number | undefined, width = 8) => (x === undefined ? '' : x.toFixed(1)).padStart(width)
if (!json) {
  console.log(
    `ceilings: dot ${ceilings.dot.toFixed(0)} GMAC/s, f32 madd ${ceilings.madd.toFixed(1)} GMAC/s, read ${ceilings.readBytes.toFixed(1)} GB/s`,
  )
  console.log(`${'kernel'.padEnd(42)}${'us/call'.padStart(10)}${'hot'.padStart(8)}${'stream'.padStart(8)}${'GB/s'.padStart(8)}`)
}
for (const make of cases) {
  const bench = make()
  if (!pattern.test(bench.name)) continue
  const t = measure(flags.includes('--hot') ? { ...bench, streamed: undefined } : bench, { relaxed, pairs })
  timings.push(t)
  if (!json) console.log(`${t.name.padEnd(42)}${n(t.microseconds, 10)}${n(t.hot)}${n(t.stream)}${n(t.streamBytes)}`)
}
if (json) console.log(JSON.stringify({ relaxed, pairs, ceilings, timings }, null, 2))
