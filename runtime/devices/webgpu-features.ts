// Features that a WebGPU variant may require, each with a trial: kernels take for granted what WebGPU does not promise. A subgroup has the
// invocations n·lanes … n·lanes + lanes - 1 (any WebGPU that is known does that), and a half becomes exactly its f32, denormals too
// (which may be flushed). Where that is not so, another variant runs.

import { usage } from './webgpu-buffers.ts'

const mapRead = 1

const swapsOf = (size: number): readonly number[] => [1, 2, 4, 8, 16, 32, 64].filter((by) => by < size)

/** One workgroup of `size`; ok[i] = 1 where all is as it should be. */
const subgroupTrial = (size: number): string => `enable subgroups;
@group(0) @binding(0) var<storage, read_write> ok: array<u32>;
fn swaps(i: u32, by: u32, other: u32, lanes: u32) -> bool { return by >= lanes || other == (i ^ by); }
@compute @workgroup_size(${size}) fn main(@builtin(local_invocation_index) i: u32) {
  let lanes = subgroupAdd(1u);
  let first = i - i % lanes;
  let least = subgroupMin(i);
  let most = subgroupMax(i);
  let sum = subgroupAdd(i);
${swapsOf(size)
  .map((by) => `  let by_${by} = swaps(i, ${by}u, subgroupShuffleXor(i, ${by}u), lanes);`)
  .join('\n')}
  var good = lanes >= 4u && (lanes & (lanes - 1u)) == 0u && least == first && most == first + lanes - 1u;
  good = good && sum == first * lanes + lanes * (lanes - 1u) / 2u;
  good = good && ${swapsOf(size)
    .map((by) => `by_${by}`)
    .join(' && ')};
  ok[i] = u32(good);
}`

const halfTrial = `enable f16;
@group(0) @binding(0) var<storage, read_write> ok: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {
  var good = true;
  for (var h = i; h < 65536u; h += 64u) {
    let normal = bitcast<f32>(((h & 0x7fffu) << 13u) + 0x38000000u);
    let small = f32(h & 0x3ffu) * 5.9604644775390625e-8;
    let size = select(normal, small, (h & 0x7c00u) == 0u);
    good &= (h & 0x7c00u) == 0x7c00u || f32(bitcast<vec2<f16>>(h).x) == select(size, -size, h >= 0x8000u);
  }
  ok[i] = u32(good);
}`

interface Trial {
  readonly size: number
  readonly wgsl: string
}

/** What each feature is tried with. */
export const features: Readonly<Record<string, { readonly trials: readonly Trial[]; readonly lacks: string }>> = {
  'shader-f16': { trials: [{ size: 64, wgsl: halfTrial }], lacks: 'the device does not read halves exactly' },
  subgroups: {
    trials: [64, 256].map((size) => ({ size, wgsl: subgroupTrial(size) })),
    lacks: 'the subgroups of the device are not invocations side by side',
  },
}

const known = new WeakMap<GPU | GPUDevice, Map<string, Promise<boolean>>>()

/** Why a variant that requires these features cannot run, or undefined when it can. What was tried is not tried again. */
export async function unmetFeature(requires: readonly string[], gpu: GPU | GPUDevice): Promise<string | undefined> {
  const unknown = requires.find((name) => !Object.hasOwn(features, name))
  if (unknown !== undefined) return `the runtime does not offer ${unknown}`
  const offered = 'requestAdapter' in gpu ? (await gpu.requestAdapter())?.features : gpu.features
  if (!offered) return 'WebGPU has no adapter'
  const missing = requires.find((name) => !offered.has(name))
  if (missing !== undefined) return `the adapter lacks ${missing}`
  const tried = known.get(gpu) ?? new Map<string, Promise<boolean>>()
  known.set(gpu, tried)
  for (const name of requires) {
    const passed = tried.get(name) ?? tryFeature(name, gpu)
    tried.set(name, passed)
    if (!(await passed)) return features[name]!.lacks
  }
  return undefined
}

/** False also where a device fails meanwhile: there is a variant that needs nothing. */
async function tryFeature(name: string, gpu: GPU | GPUDevice): Promise<boolean> {
  let own: GPUDevice | undefined
  try {
    if ('requestAdapter' in gpu) own = await (await gpu.requestAdapter())?.requestDevice({ requiredFeatures: [name as GPUFeatureName] })
    const device = own ?? (gpu as GPUDevice)
    const passed = await Promise.all(features[name]!.trials.map((trial) => passes(device, trial)))
    return passed.every((good) => good)
  } catch {
    return false
  } finally {
    own?.destroy()
  }
}

async function passes(device: GPUDevice, { size, wgsl }: Trial): Promise<boolean> {
  const bytes = size * 4
  device.pushErrorScope('validation')
  const [ok, copy] = [
    device.createBuffer({ size: bytes, usage: usage.storage | usage.copySrc }),
    device.createBuffer({ size: bytes, usage: usage.mapRead | usage.copyDst }),
  ]
  try {
    const module = device.createShaderModule({ code: wgsl })
    const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } })
    const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer: ok } }] })
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    pass.setPipeline(pipeline)
    pass.setBindGroup(0, group)
    pass.dispatchWorkgroups(1)
    pass.end()
    encoder.copyBufferToBuffer(ok, 0, copy, 0, bytes)
    device.queue.submit([encoder.finish()])
    await copy.mapAsync(mapRead)
    return new Uint32Array(copy.getMappedRange()).every((word) => word === 1)
  } finally {
    await device.popErrorScope()
    ok.destroy()
    copy.destroy()
  }
}
