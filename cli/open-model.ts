// ART|FILE and --device to a loaded model: an artifact is loaded as it is, a .dsl is compiled in memory first.

import { load, type Model, memoryFiles, readArtifact } from '../runtime/index.ts'
import { LlamacError } from '../runtime/error.ts'
import { type CompileFlags, type DeviceName, isSource, refuseCompileFlags } from './flags.ts'
import { note, UsageError } from './report.ts'

export interface OpenFlags extends CompileFlags {
  readonly device: DeviceName
  readonly threads?: number | 'auto'
}

/** Errors: those of compiling and of `load`, E_REFERENCE_NEEDS_SOURCE, E_NO_WEIGHTS. The caller disposes of the model. */
export async function openModel(path: string, flags: OpenFlags, signal?: AbortSignal): Promise<Model> {
  return isSource(path) ? openSourceFile(path, flags, signal) : openArtifact(path, flags, signal)
}

async function openSourceFile(path: string, flags: OpenFlags, signal: AbortSignal | undefined): Promise<Model> {
  const { device, target } = flags
  if (target && device !== 'auto') throw new UsageError('with a .dsl, give --device or --target, not both')
  if (flags.weights === undefined && flags.seedWeights === undefined) {
    throw new LlamacError('E_NO_WEIGHTS', `${path} needs weights to run: give --weights PATH, or --seed-weights N for pseudo-random ones`)
  }
  const { compileProject, referenceOf } = await import('./project.ts')
  const { packArtifact } = await import('../compiler/artifact/write.ts')
  const project = await compileProject(path, flags, device === 'auto' ? (target ?? ['wasm']) : [device])
  const { contents } = project.compilation
  if (contents.variants[0]?.target === 'reference') {
    // The reference reads weights itself; the artifact is only needed for what it tells about entries.
    return load(memoryFiles(await packArtifact({ ...contents, withWeights: false })), { device: () => referenceOf(project), ...(signal ? { signal } : {}) })
  }
  return openArtifact(memoryFiles(await packArtifact(contents, { signal })), { device, ...(flags.threads === undefined ? {} : { threads: flags.threads }) }, signal)
}

async function openArtifact(
  source: string | ReturnType<typeof memoryFiles>, flags: OpenFlags, signal: AbortSignal | undefined,
): Promise<Model> {
  if (typeof source === 'string') refuseCompileFlags(source, flags)
  const { device } = flags
  const { manifest } = await readArtifact(source, signal)
  const targets = manifest.variants.map(({ target }) => target)
  if (device === 'reference' || (device === 'auto' && targets.length > 0 && targets.every((target) => target === 'reference'))) {
    throw new LlamacError('E_REFERENCE_NEEDS_SOURCE', 'the reference evaluates the model\'s source: give the .dsl (and --weights) instead of the artifact')
  }
  // A software GPU is slower than WASM: it is only made when nothing else was compiled, or on demand.
  const needsGpu = device === 'webgpu' ? targets.includes('webgpu') : device === 'auto' && !targets.includes('wasm') && targets.includes('webgpu')
  const gpu = needsGpu ? await nodeGpu() : undefined
  return load(source, { device, ...(flags.threads === undefined ? {} : { threads: flags.threads }), ...(gpu ? { gpu } : {}), ...(signal ? { signal } : {}) })
}

async function nodeGpu(): Promise<GPU> {
  const { createNodeGpu } = await import('./webgpu-node.ts')
  const gpu = await createNodeGpu()
  const adapter = await gpu.requestAdapter()
  if (adapter) note(`note: WebGPU on ${adapter.info.description || adapter.info.vendor || 'an unnamed adapter'}`)
  return gpu
}
