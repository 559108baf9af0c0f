// The pipelines of a WebGPU program, compiled once at load and in parallel. Layouts are explicit, one per sequence of binding
// kinds, so pipelines that bind alike share a layout; a pipeline is one per module and layout, however many dispatches use it.
import type { WebgpuDispatch as DispatchPlan, WebgpuProgram } from '../artifact/manifest.ts'
import { fail } from '../error-codes.ts'
import { bufferTypes, isOfSession } from './webgpu-buffers.ts'

export interface Dispatch {
  readonly pipeline: GPUComputePipeline
  readonly layout: GPUBindGroupLayout
  readonly bindings: DispatchPlan['bindings']
  readonly workgroups: DispatchPlan['workgroups']
  /** Its bind group belongs to a session. */
  readonly holdsStates: boolean
  /** Made at its first use when it holds no states. */
  group: GPUBindGroup | undefined
}

const computeStage = 4

/** What an entry runs, and what follows where a token is drawn. */
export interface EntryDispatches {
  readonly run: readonly Dispatch[]
  readonly draw: readonly Dispatch[]
}

/** Dispatches by entry. `tell`: how many pipelines of how many are ready. E_DEVICE when a shader is refused: the message names the module. */
export async function buildPipelines(
  device: GPUDevice,
  program: WebgpuProgram,
  tell?: (ready: number, total: number) => void,
): Promise<ReadonlyMap<string, EntryDispatches>> {
  const layouts = new Map<string, { readonly group: GPUBindGroupLayout; readonly pipeline: GPUPipelineLayout }>()
  const pipelines = new Map<string, Promise<GPUComputePipeline>>()
  const shaders = program.modules.map(({ name, wgsl }) => device.createShaderModule({ label: name, code: wgsl }))

  function layoutOf(kinds: readonly (keyof typeof bufferTypes)[]): {
    readonly group: GPUBindGroupLayout
    readonly pipeline: GPUPipelineLayout
  } {
    const key = kinds.map((kind) => bufferTypes[kind]).join()
    let found = layouts.get(key)
    if (!found) {
      const group = device.createBindGroupLayout({
        entries: kinds.map((kind, binding) => ({ binding, visibility: computeStage, buffer: { type: bufferTypes[kind] } })),
      })
      found = { group, pipeline: device.createPipelineLayout({ bindGroupLayouts: [group] }) }
      layouts.set(key, found)
    }
    return found
  }

  async function prepare({ module, bindings, workgroups }: DispatchPlan): Promise<Dispatch> {
    const kinds = bindings.map(({ buffer }) => program.buffers[buffer]!.kind)
    const layout = layoutOf(kinds)
    const key = `${module}:${kinds.map((kind) => bufferTypes[kind]).join()}`
    let pipeline = pipelines.get(key)
    if (!pipeline) {
      pipeline = compilePipeline(device, shaders[module]!, layout.pipeline, program.modules[module]!.name)
      pipelines.set(key, pipeline)
    }
    return { pipeline: await pipeline, layout: layout.group, bindings, workgroups, holdsStates: kinds.some(isOfSession), group: undefined }
  }

  const prepared = Object.entries(program.entries).map(async ([name, { dispatches, draw = [] }]) => {
    const [run, more] = await Promise.all([Promise.all(dispatches.map(prepare)), Promise.all(draw.map(prepare))])
    return [name, { run, draw: more }] as const
  })
  let ready = 0
  for (const pipeline of pipelines.values())
    pipeline.then(
      () => tell?.(++ready, pipelines.size),
      () => {}, // told by who asked for it
    )
  return new Map(await Promise.all(prepared))
}

async function compilePipeline(
  device: GPUDevice,
  module: GPUShaderModule,
  layout: GPUPipelineLayout,
  name: string,
): Promise<GPUComputePipeline> {
  try {
    return await device.createComputePipelineAsync({ label: name, layout, compute: { module } })
  } catch (cause) {
    const { messages } = await module.getCompilationInfo()
    const details = messages.filter(({ type }) => type === 'error').map(({ lineNum, message }) => `line ${lineNum}: ${message}`)
    fail('E_DEVICE', `the GPU refuses the shader ${name}: ${details.join('; ') || (cause as Error).message}`, cause)
  }
}
