// Runs one loop function on a WebGPU device with the same call as the evaluator's (LoopCall): operands are placed as the plan
// allows (tensor, state, or inside one arena), written operands are copied back, and guard words around every writable operand
// must be untouched. Buffers and pipelines live for one call.

import type { Bounds } from '../../dsl/affine.ts'
import { evaluate as evaluateAffine } from '../../dsl/affine.ts'
import type { WebgpuProgram } from '../../runtime/artifact/manifest.ts'
import { bufferTypes } from '../../runtime/devices/webgpu-buffers.ts'
import type { LoopCall } from '../../compiler/schedule/evaluate-loops.ts'
import type { LoopFunction } from '../../compiler/schedule/loops.ts'
import type { OperandPlace } from '../../compiler/targets/webgpu/bindings.ts'
import { type PlannedDispatch, planDispatch } from '../../compiler/targets/webgpu/dispatch.ts'

const guard = 0x5bd1e995
const guardWords = 16

export type PlaceKind = OperandPlace['kind']

export interface Layout {
  readonly buffers: WebgpuProgram['buffers']
  /** By kernel operand. */
  readonly places: readonly OperandPlace[]
  readonly planned: PlannedDispatch
}

/** Operands that are read are tensors and written ones lie in the arena, unless `kinds` (by loop operand) says otherwise. */
export function layoutKernel(
  fn: LoopFunction,
  words: readonly number[],
  bounds: Bounds,
  kinds: readonly (PlaceKind | undefined)[] = [],
  options: Parameters<typeof planDispatch>[4] = {},
): Layout {
  const buffers: WebgpuProgram['buffers'][number][] = [
    { kind: 'uniform', bytes: Math.max(16, Math.ceil((fn.symbols.length * 4) / 16) * 16) },
  ]
  const places: OperandPlace[] = []
  let arena = guardWords * 4
  const arenaIndex = buffers.push({ kind: 'arena', bytes: 0 }) - 1
  fn.operands.forEach((o, i) => {
    if (o.memory.kind === 'scratch' || places[o.memory.operand]) return
    const kind = kinds[i] ?? (o.access === 'read' ? 'tensor' : 'arena')
    const bytes = words[i]! * 4
    if (kind === 'arena') {
      places[o.memory.operand] = { kind, buffer: arenaIndex, offset: arena, bytes }
      arena += Math.ceil(bytes / 4 + guardWords) * 4
    } else if (kind === 'state') {
      const buffer = buffers.push({ kind, state: 0, bytes: bytes + 2 * guardWords * 4 }) - 1
      places[o.memory.operand] = { kind, buffer, offset: guardWords * 4, bytes }
    } else {
      // At an odd place of a larger buffer, as a shard's split tensor would be; packed ones keep their alignment.
      const before = o.vector ? 256 + 16 : 256 + 4
      const buffer = buffers.push({ kind, tensor: 0, offset: 0, bytes: before + Math.ceil(bytes / 16) * 16 }) - 1
      places[o.memory.operand] = { kind, buffer, offset: before, bytes: o.vector ? Math.ceil(bytes / 16) * 16 : bytes }
    }
  })
  buffers[arenaIndex] = { kind: 'arena', bytes: arena }
  const planned = planDispatch(fn, places, buffers, { symbols: fn.symbols, bounds, uniform: 0 }, options)
  return { buffers, places, planned }
}

/** The pipeline as the runtime makes it: explicit layout from the bound buffers' kinds. Rejects with the compiler's messages. */
export async function compileWgsl(
  device: GPUDevice,
  { buffers, planned }: Layout,
): Promise<{ pipeline: GPUComputePipeline; layout: GPUBindGroupLayout }> {
  device.pushErrorScope('validation')
  const layout = device.createBindGroupLayout({
    entries: planned.bindings.map(({ buffer }, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: bufferTypes[buffers[buffer]!.kind] },
    })),
  })
  const module = device.createShaderModule({ code: planned.wgsl })
  const pipeline = device.createComputePipelineAsync({
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: 'main' },
  })
  const outcome = await pipeline.then(
    (made) => ({ made }),
    (error: Error) => ({ error }),
  )
  const invalid = await device.popErrorScope()
  if (invalid || 'error' in outcome) throw new Error(`${invalid?.message ?? (outcome as { error: Error }).error.message}\n${planned.wgsl}`)
  return { pipeline: outcome.made, layout }
}

/** Runs and writes results into `call.memory`. */
export async function runWgsl(
  device: GPUDevice,
  fn: LoopFunction,
  call: LoopCall,
  bounds: Bounds,
  kinds: readonly (PlaceKind | undefined)[] = [],
  options: Parameters<typeof planDispatch>[4] = {},
): Promise<void> {
  const symbols = call.symbols ?? {}
  const words = fn.operands.map((_, i) => call.memory[i]?.length ?? 0)
  const layout = layoutKernel(fn, words, bounds, kinds, options)
  const { pipeline, layout: groupLayout } = await compileWgsl(device, layout)
  const contents = layout.buffers.map((b) => new Int32Array(Math.ceil(b.bytes / 16) * 4).fill(guard))
  contents[0]!.set(fn.symbols.map((name) => symbols[name]!))
  const bits = (i: number) => new Int32Array(call.memory[i]!.buffer, call.memory[i]!.byteOffset, call.memory[i]!.length)
  const placed = fn.operands.flatMap((o, i) =>
    o.memory.kind === 'scratch' ? [] : [{ i, access: o.access, place: layout.places[o.memory.operand]! }],
  )
  for (const { i, place } of placed) contents[place.buffer]!.set(bits(i), place.offset / 4)
  const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC
  const made = layout.buffers.map((b, i) => {
    const buffer = device.createBuffer({
      size: contents[i]!.byteLength,
      usage: usage | (b.kind === 'uniform' ? GPUBufferUsage.UNIFORM : GPUBufferUsage.STORAGE),
    })
    device.queue.writeBuffer(buffer, 0, contents[i]!)
    return buffer
  })
  const group = device.createBindGroup({
    layout: groupLayout,
    entries: layout.planned.bindings.map(({ buffer, offset, bytes }, binding) => ({
      binding,
      resource: { buffer: made[buffer]!, offset, size: bytes },
    })),
  })
  const counts = [0, 1, 2].map((d) =>
    (layout.planned.workgroups[d] ?? []).reduce((n, f) => n * Math.ceil(evaluateAffine(f.size, symbols) / f.divisor), 1),
  )
  const encoder = device.createCommandEncoder()
  const pass = encoder.beginComputePass()
  pass.setPipeline(pipeline)
  pass.setBindGroup(0, group)
  pass.dispatchWorkgroups(counts[0]!, counts[1], counts[2])
  pass.end()
  const writable = layout.buffers.flatMap((b, i) => (b.kind === 'state' || b.kind === 'arena' ? [i] : []))
  const copies = writable.map((i) => {
    const copy = device.createBuffer({ size: contents[i]!.byteLength, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ })
    encoder.copyBufferToBuffer(made[i]!, 0, copy, 0, copy.size)
    return copy
  })
  device.queue.submit([encoder.finish()])
  for (const [n, i] of writable.entries()) {
    await copies[n]!.mapAsync(GPUMapMode.READ)
    const after = new Int32Array(copies[n]!.getMappedRange().slice(0))
    const before = contents[i]!
    for (const { i: operand, place, access } of placed) {
      if (place.buffer !== i) continue
      const from = place.offset / 4
      if (access !== 'read') {
        bits(operand).set(after.subarray(from, from + words[operand]!))
        before.set(bits(operand), from)
      }
    }
    const bad = after.findIndex((word, at) => word !== before[at])
    if (bad >= 0) throw new Error(`${fn.name} wrote word ${bad} of a buffer, outside its operands\n${layout.planned.wgsl}`)
  }
  for (const buffer of [...made, ...copies]) buffer.destroy()
}
