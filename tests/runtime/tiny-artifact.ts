// A real artifact for both devices, written by hand: `step(tokens, start)` adds table[token] + start to one state cell per token
// position and gives state[0..8) and the number of tokens. Small enough to check in the head, yet it has weights, states, symbols,
// an arena, several shaders and results of two types.
import binaryen from 'binaryen'
import type { ArtifactContents } from '../../compiler/artifact/write.ts'
import type { EntryManifest, WebgpuProgram } from '../../runtime/artifact/manifest.ts'

export const table = Float32Array.of(0.5, 1.5, 2.5, 4)
const cells = 8

const entry: EntryManifest = {
  name: 'step',
  role: 'prefill',
  arguments: [
    { kind: 'tensor', name: 'tokens', dtype: 'i32', dims: [{ const: 0, terms: [['seq', 1]] }], labels: ['seq'], below: 4 },
    { kind: 'index', name: 'start' },
  ],
  symbols: [
    { name: 'seq', kind: 'size', min: 1, max: cells },
    { name: 'start', kind: 'index', min: 0, max: cells - 1 },
  ],
  limits: [
    {
      left: {
        const: 0,
        terms: [
          ['seq', 1],
          ['start', 1],
        ],
      },
      right: cells,
      why: 'cells[start ..+ seq]',
    },
  ],
  results: [
    { dtype: 'f32', dims: [{ const: cells, terms: [] }], labels: ['cells'] },
    { dtype: 'i32', dims: [{ const: 1, terms: [] }], labels: ['one'] },
  ],
}

/** What step must leave in the cells. */
export function expectedCells(before: ArrayLike<number>, tokens: readonly number[], start: number): Float32Array {
  const after = Float32Array.from({ length: cells }, (_, i) => before[i] ?? 0)
  for (const [i, token] of tokens.entries()) after[start + i]! += table[token]! + start
  return after
}

const places = { table: 1024, tokens: 2048, cells: 2304, count: 2560, states: 4096 }

function wasmProgram(): Uint8Array<ArrayBuffer> {
  const module = binaryen.parseText(`(module
    (memory (import "env" "memory") 1)
    (func (export "step") (param $states i32) (param $seq i32) (param $start i32)
      (local $i i32) (local $at i32)
      (loop $next
        (local.set $at (i32.add (local.get $states) (i32.shl (i32.add (local.get $start) (local.get $i)) (i32.const 2))))
        (f32.store (local.get $at) (f32.add (f32.load (local.get $at)) (f32.add (f32.convert_i32_s (local.get $start))
          (f32.load offset=${places.table} (i32.shl (i32.load offset=${places.tokens} (i32.shl (local.get $i) (i32.const 2))) (i32.const 2))))))
        (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $seq))))
      (memory.copy (i32.const ${places.cells}) (local.get $states) (i32.const ${cells * 4}))
      (i32.store (i32.const ${places.count}) (local.get $seq))))`)
  module.setFeatures(binaryen.Features.All)
  if (!module.validate()) throw new Error('internal: the test module is wrong')
  return module.emitBinary() as Uint8Array<ArrayBuffer>
}

const webgpuProgram: WebgpuProgram = {
  modules: [
    {
      name: 'add',
      wgsl: `@group(0) @binding(0) var<uniform> s: vec4<i32>;
        @group(0) @binding(1) var<storage, read> table: array<f32>;
        @group(0) @binding(2) var<storage, read_write> cells: array<f32>;
        @group(0) @binding(3) var<storage, read_write> arena: array<i32>;
        @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
          let i = i32(id.x);
          if (i < s.x) { cells[s.y + i] = cells[s.y + i] + table[arena[i]] + f32(s.y); }
        }`,
    },
    {
      name: 'show',
      wgsl: `@group(0) @binding(0) var<uniform> s: vec4<i32>;
        @group(0) @binding(1) var<storage, read_write> cells: array<f32>;
        @group(0) @binding(2) var<storage, read_write> arena: array<i32>;
        @compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
          arena[64 + id.x] = bitcast<i32>(cells[id.x]);
          if (id.x == 0) { arena[128] = s.x; }
        }`,
    },
  ],
  buffers: [
    { kind: 'uniform', bytes: 16 },
    { kind: 'tensor', tensor: 0, offset: 0, bytes: 16 },
    { kind: 'state', state: 0, bytes: cells * 4 },
    { kind: 'arena', bytes: 1024 },
  ],
  entries: {
    step: {
      symbols: ['seq', 'start'],
      arguments: { tokens: { buffer: 3, offset: 0 } },
      results: [
        { buffer: 3, offset: 256 },
        { buffer: 3, offset: 512 },
      ],
      dispatches: [
        {
          module: 0,
          workgroups: [[{ size: { const: 0, terms: [['seq', 1]] }, divisor: 4 }]],
          bindings: [
            { buffer: 0, offset: 0, bytes: 16 },
            { buffer: 1, offset: 0, bytes: 16 },
            { buffer: 2, offset: 0, bytes: 32 },
            { buffer: 3, offset: 0, bytes: 1024 },
          ],
        },
        // Zero workgroups: skipped.
        {
          module: 1,
          workgroups: [[{ size: { const: 0, terms: [] }, divisor: 1 }]],
          bindings: [
            { buffer: 0, offset: 0, bytes: 16 },
            { buffer: 2, offset: 0, bytes: 32 },
            { buffer: 3, offset: 0, bytes: 1024 },
          ],
        },
        {
          module: 1,
          workgroups: [[{ size: { const: 1, terms: [] }, divisor: 1 }]],
          bindings: [
            { buffer: 0, offset: 0, bytes: 16 },
            { buffer: 2, offset: 0, bytes: 32 },
            { buffer: 3, offset: 0, bytes: 1024 },
          ],
        },
      ],
    },
  },
}

export const contents = (): ArtifactContents => ({
  manifest: {
    generator: 'test',
    model: 'Tiny',
    config: { cells },
    parameters: table.length,
    math: 'strict',
    entries: [entry],
    states: [{ path: 'cells', dtype: 'f32', dims: [cells], offset: 0, bytes: cells * 4 }],
  },
  tensors: [{ path: 'table', dims: [4], format: 'f32', layout: 'plain', bytes: 16, pieces: () => [new Uint8Array(table.slice().buffer)] }],
  withWeights: true,
  variants: [
    { target: 'webgpu', requires: [], program: webgpuProgram },
    {
      target: 'wasm',
      requires: ['relaxed-simd'],
      program: async () => wasmProgram(),
      memory: { tensors: [places.table], stateBytes: 40_000, statesBase: places.states, arenaBase: 2048, arenaBytes: 1024, dataBytes: 0 },
      entries: {
        step: { export: 'step', symbols: ['seq', 'start'], arguments: { tokens: places.tokens }, results: [places.cells, places.count] },
      },
    },
  ],
})
