// ART|FILE and --device to a loaded model: an artifact is loaded as it is, a .dsl is compiled in memory first.

import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Artifact, type EntryManifest, load, type Model, readArtifact } from '../runtime/index.ts'
import type { TargetName } from '../compiler/targets/index.ts'
import { LlamacError } from '../runtime/error.ts'
import { type CompileFlags, type DeviceName, isSource, refuseCompileFlags } from './flags.ts'
import { startBuilder } from './module-builder.ts'
import type { Project } from './project.ts'
import { note, UsageError } from './report.ts'

export interface OpenFlags extends CompileFlags {
  readonly device: DeviceName
  readonly threads?: number | 'auto'
}

export type EntryRole = NonNullable<EntryManifest['role']>

/** What is to be loaded: an artifact's folder, or what a .dsl was compiled to, with the compilation. */
export interface Opened {
  readonly source: string | Artifact
  readonly project?: Project
}

/** Compiles a .dsl in memory for the device, only the entries of `roles` if they are given; passes an artifact on. Errors: those of compiling, E_NO_WEIGHTS, UsageError. */
export async function openSource(path: string, flags: OpenFlags, roles?: readonly EntryRole[], signal?: AbortSignal): Promise<Opened> {
  if (!isSource(path)) {
    expectArtifact(path)
    refuseCompileFlags(path, flags)
    return { source: path }
  }
  const targets = targetsFor(path, flags)
  const buildWasm = targets.includes('wasm') ? startBuilder(1).build : undefined
  const { compileProject } = await import('./project.ts')
  const { compiledArtifact } = await import('../compiler/artifact/compiled.ts')
  const project = await compileProject(path, flags, targets, { buildWasm, roles, signal })
  return { source: compiledArtifact(project.compilation.contents), project }
}

/** E_ARTIFACT_FILE for what is no artifact's folder, and what to give instead. */
function expectArtifact(path: string): void {
  if (/^\w+:\/\//.test(path)) return
  const refuse = (why: string): never => {
    throw new LlamacError('E_ARTIFACT_FILE', `${path} ${why}`)
  }
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat) refuse('is not there: give the folder of an artifact, or a .dsl')
  else if (!stat.isDirectory())
    refuse(
      `is neither the folder of an artifact nor a .dsl; weights are run by the file of their model: models/llama.dsl --weights ${path}`,
    )
  else if (!existsSync(join(path, 'manifest.json')))
    refuse(`holds no artifact: it has no manifest.json; weights are run by the file of their model: models/llama.dsl --weights ${path}`)
}

function targetsFor(path: string, { device, target, weights, seedWeights }: OpenFlags): readonly TargetName[] {
  if (target && device !== 'auto') throw new UsageError('with a .dsl, give --device or --target, not both')
  if (weights === undefined && seedWeights === undefined) {
    throw new LlamacError('E_NO_WEIGHTS', `${path} needs weights to run: give --weights PATH, or --seed-weights N for pseudo-random ones`)
  }
  return device === 'auto' ? (target ?? ['wasm']) : [device]
}

/** Errors: those of compiling and of `load`, E_REFERENCE_NEEDS_SOURCE, E_NO_WEIGHTS. The caller disposes of the model. */
export async function openModel(path: string, flags: OpenFlags, signal?: AbortSignal, roles?: readonly EntryRole[]): Promise<Model> {
  return loadOpened(await openSource(path, flags, roles, signal), flags, signal)
}

/** Loads what was opened; may be called several times. */
export async function loadOpened({ source, project }: Opened, { device, threads }: OpenFlags, signal?: AbortSignal): Promise<Model> {
  if (project?.compilation.contents.variants[0]?.target === 'reference') {
    const { referenceOf } = await import('./project.ts')
    return load(source, { device: () => referenceOf(project), ...(signal ? { signal } : {}) })
  }
  const { manifest } = await readArtifact(source, signal)
  const targets = manifest.variants.map(({ target }) => target)
  if (device === 'reference' || (device === 'auto' && targets.length > 0 && targets.every((target) => target === 'reference'))) {
    throw new LlamacError(
      'E_REFERENCE_NEEDS_SOURCE',
      "the reference evaluates the model's source: give the .dsl (and --weights) instead of the artifact",
    )
  }
  // A software GPU is slower than WASM: it is only made when nothing else was compiled, or on demand.
  const needsGpu =
    device === 'webgpu' ? targets.includes('webgpu') : device === 'auto' && !targets.includes('wasm') && targets.includes('webgpu')
  const gpu = needsGpu ? await nodeGpu() : undefined
  return load(source, { device, ...(gpu ? { gpu } : {}), ...(threads === undefined ? {} : { threads }), ...(signal ? { signal } : {}) })
}

export async function nodeGpu(): Promise<GPU> {
  const { createNodeGpu } = await import('./webgpu-node.ts')
  const gpu = await createNodeGpu()
  const adapter = await gpu.requestAdapter()
  if (adapter) note(`note: WebGPU on ${adapter.info.description || adapter.info.vendor || 'an unnamed adapter'}`)
  return gpu
}
