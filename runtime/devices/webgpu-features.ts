// Features that a WebGPU variant may require, of the device or of its language, each with a trial: kernels take for granted what WebGPU does not promise. A subgroup has the
// invocations n·lanes … n·lanes + lanes - 1 (any WebGPU that is known does that), and a half becomes exactly its f32, denormals too
// (which may be flushed). Where that is not so, another variant runs.

import { usage } from './webgpu-buffers.ts'

const mapRead = 1

/** One workgroup of `size`; ok[i] = 1 where all is as it should be. */
const subgroupTrial = (size: number): string => `enable subgroups;
@group(0) @binding(0) var<storage, read_write> ok: array<u32>;
@compute @workgroup_size(${size}) fn main(@builtin(local_invocation_index) i: u32) {
  let lanes = subgroupAdd(1u);
  let first = i - i % lanes;
  let least = subgroupMin(i);
  let most = subgroupMax(i);
  let sum = subgroupAdd(i);
  var good = lanes >= 4u && (lanes & (lanes - 1u)) == 0u && least == first && most == first + lanes - 1u;
  good = good && sum == first * lanes + lanes * (lanes - 1u) / 2u;
${[1, 2, 4, 8, 16, 32, 64]
  .filter((by) => by < size)
  .map((by) => `  let by_${by} = subgroupShuffleXor(i, ${by}u);\n  good = good && (${by}u >= lanes || by_${by} == (i ^ ${by}u));`)
  .join('\n')}
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

/** The languages's features are asked for by their trial alone. */
const packedDots = 'packed_4x8_integer_dot_product'
const dotTrial = `requires ${packedDots};
@group(0) @binding(0) var<storage, read_write> ok: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {
  let b = vec4<i32>(-128, 127, -1, i32(i)) * select(1, -1, i == 1u);
  let w = (b & vec4<i32>(255)) << vec4<u32>(0u, 8u, 16u, 24u);
  let x = bitcast<u32>(w.x | w.y | w.z | w.w);
  let s = (vec4<i32>(bitcast<i32>(x)) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
  ok[i] = u32(dot4I8Packed(x, x) == dot(s, s) && dot4I8Packed(x, 0x81818181u) == -127 * dot(s, vec4<i32>(1)));
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
  [packedDots]: { trials: [{ size: 64, wgsl: dotTrial }], lacks: 'the device has no dot products of packed bytes' },
}

/** Of these, what a device is to be requested with: the others are features of the language. */
export const deviceFeatures = (names: readonly string[]): GPUFeatureName[] =>
  names.filter((name) => name !== packedDots) as GPUFeatureName[]

/** Who offers features, and which of them passed once any was asked for. */
interface Offer {
  readonly by: GPUAdapter | GPUDevice
  tried?: Promise<ReadonlyMap<string, boolean>>
}

const known = new WeakMap<GPU | GPUDevice, Offer>()

/**
 * Why a variant that requires these features cannot run, or undefined when it can. One adapter is asked for, and one device of it when a
 * feature that it has is first wanted; what was tried is not tried again.
 */
export async function unmetFeature(requires: readonly string[], gpu: GPU | GPUDevice): Promise<string | undefined> {
  const by = known.get(gpu)?.by ?? ('requestAdapter' in gpu ? await gpu.requestAdapter() : gpu)
  if (!by) return 'WebGPU has no adapter'
  const offer: Offer = known.get(gpu) ?? { by }
  known.set(gpu, offer)
  for (const name of requires) {
    if (!Object.hasOwn(features, name)) return `the runtime does not offer ${name}`
    if (name !== packedDots && !by.features.has(name)) return `the adapter lacks ${name}`
  }
  if (requires.length === 0) return undefined
  const tried = await (offer.tried ??= tryFeatures(by))
  const failed = requires.find((name) => !tried.get(name))
  return failed && features[failed]!.lacks
}

/** Whether what is offered passes. Nothing does where the device fails meanwhile: there is a variant that needs nothing. */
async function tryFeatures(by: GPUAdapter | GPUDevice): Promise<ReadonlyMap<string, boolean>> {
  const offered = Object.keys(features).filter((name) => name === packedDots || by.features.has(name))
  const own = 'requestDevice' in by
  const device = own ? await by.requestDevice({ requiredFeatures: deviceFeatures(offered) }).catch(() => undefined) : by
  if (!device) return new Map()
  device.pushErrorScope('validation')
  const passed = offered.map(async (name) => {
    const trials = await Promise.all(features[name]!.trials.map((trial) => passes(device, trial)))
    return [name, trials.every((good) => good)] as const
  })
  const tried = new Map(await Promise.all(passed))
  await device.popErrorScope().catch(() => null)
  if (own) device.destroy()
  return tried
}

/** False also where a device fails meanwhile. */
async function passes(device: GPUDevice, { size, wgsl }: Trial): Promise<boolean> {
  const bytes = size * 4
  const [ok, copy] = [usage.storage | usage.copySrc, usage.mapRead | usage.copyDst].map((usage) =>
    device.createBuffer({ size: bytes, usage }),
  )
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
  } catch {
    return false
  } finally {
    ok.destroy()
    copy.destroy()
  }
}
