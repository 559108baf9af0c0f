// A real artifact with threads, made of two kernels written by hand: `go(bad)` gives out[i] = 3·i + state, where every call adds
// one to the state, in rows that threads share and with a barrier between; row `bad` reads far outside the memory and traps.

import { countOf } from '../../compiler/schedule/count.ts'
import { constant } from '../../dsl/affine.ts'
import type { ArtifactContents, VariantContents } from '../../compiler/artifact/write.ts'
import { buffer, builtin, constant as value, Emitter, load, ops, symbol } from '../../compiler/schedule/build-loops.ts'
import type { LoopFunction } from '../../compiler/schedule/loops.ts'
import { buildModule } from '../../compiler/targets/wasm/module.ts'
import type { Step, WasmProgram } from '../../compiler/targets/wasm/program.ts'
import { control } from '../../compiler/targets/wasm/program.ts'

export const rows = 12
/** No row is bad. */
export const none = rows
const farAway = 0x30000000

function tripleRows(): LoopFunction {
  const e = new Emitter()
  e.loop('i', builtin('from'), builtin('to'), 1, (i) => {
    const at = ops.select(ops.eq(i, symbol('bad')), value('i32', farAway), i)
    e.store(1, i, ops.add(ops.mul(i, 3), ops.sub(load('i32', 0, at), load('i32', 0, i))))
  })
  return {
    name: 'triple',
    operands: [buffer('zeros', 0, 'read', 'i32'), buffer('out', 1, 'write', 'i32')],
    symbols: ['bad'],
    body: e.finish(),
    workgroup: 1,
    grid: [],
    rows: { count: countOf(constant(rows)), unit: 1 },
  }
}

/** One thread counts; all add, from the other end: what they read was written by another thread. */
function countCalls(): LoopFunction {
  const e = new Emitter()
  e.store(0, 0, ops.add(load('i32', 0, 0), 1))
  return { name: 'count', operands: [buffer('state', 0, 'readwrite', 'i32')], symbols: [], body: e.finish(), workgroup: 1, grid: [] }
}

function addReversed(): LoopFunction {
  const e = new Emitter()
  e.loop('i', builtin('from'), builtin('to'), 1, (i) => e.store(2, i, ops.add(load('i32', 0, ops.sub(rows - 1, i)), load('i32', 1, 0))))
  const operands = [buffer('in', 0, 'read', 'i32'), buffer('state', 1, 'read', 'i32'), buffer('out', 2, 'write', 'i32')]
  return {
    name: 'reverse',
    operands,
    symbols: [],
    body: e.finish(),
    workgroup: 1,
    grid: [],
    rows: { count: countOf(constant(rows)), unit: 1 },
  }
}

const [zeros, middle, out, own, weights] = [0, 256, 512, 768, 4096].map((offset) => control.end + offset) as [
  number,
  number,
  number,
  number,
  number,
]

function variant(shared: boolean, weightBytes: number): VariantContents {
  const states = weights + weightBytes
  const at = (offset: number) => ({ base: 'absolute', offset }) as const
  const state = { base: 'states', offset: 0 } as const
  const steps: Step[] = [
    { kind: 'call', kernel: 'triple', operands: [at(zeros), at(middle)], share: 'split' },
    { kind: 'call', kernel: 'count', operands: [state], share: 'one' },
    { kind: 'barrier' },
    { kind: 'call', kernel: 'reverse', operands: [at(middle), state, at(out)], share: 'split' },
  ]
  const program: WasmProgram = {
    kernels: [tripleRows(), countCalls(), addReversed()],
    entries: [{ export: 'go', symbols: ['bad'], steps }],
    data: [],
    memoryBytes: states,
    ownBase: own,
  }
  return {
    target: 'wasm',
    requires: shared ? ['threads'] : [],
    program: async () => buildModule(program, { relaxed: false, shared }).binary,
    memory: {
      tensors: weightBytes > 0 ? [weights] : [],
      stateBytes: 64,
      statesBase: states,
      arenaBase: zeros,
      arenaBytes: own + 256 - zeros,
      dataBytes: 0,
    },
    entries: { go: { export: 'go', symbols: ['bad'], arguments: {}, results: [out] } },
    ...(shared ? { threads: { mailbox: control.mailbox, ownBase: own, ownBytes: 256 } } : {}),
  }
}

export const expectedRows = (calls: number): number[] => Array.from({ length: rows }, (_, i) => 3 * (rows - 1 - i) + calls)

/** `weightBytes`, a multiple of 256: weights that nothing reads, for a model of that size. */
export function threadedContents(weightBytes = 0): ArtifactContents {
  return {
    manifest: {
      generator: 'test',
      model: 'Threads',
      config: {},
      parameters: 0,
      math: 'strict',
      entries: [
        {
          name: 'go',
          arguments: [{ kind: 'index', name: 'bad' }],
          symbols: [{ name: 'bad', kind: 'index', min: 0, max: rows }],
          limits: [],
          results: [{ dtype: 'i32', dims: [{ const: rows, terms: [] }], labels: ['rows'] }],
        },
      ],
      states: [{ path: 'count', dtype: 'i32', dims: [1], offset: 0, bytes: 4 }],
    },
    tensors:
      weightBytes > 0
        ? [
            {
              path: 'w',
              dims: [weightBytes / 4],
              format: 'f32',
              layout: 'plain',
              bytes: weightBytes,
              pieces: () => [new Uint8Array(weightBytes)],
            },
          ]
        : [],
    withWeights: true,
    variants: [variant(true, weightBytes), variant(false, weightBytes)],
  }
}
