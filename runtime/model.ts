// Loading: open the artifact, take the first variant that this machine can run, upload the weights, and give a model that
// makes sessions.
import type { Manifest } from './artifact/manifest.ts'
import { readArtifact } from './artifact/read.ts'
import type { Artifact, LoadProgress } from './artifact/read.ts'
import type { ArtifactSource } from './artifact/sources.ts'
import type { Device } from './devices/device.ts'
import { threadCount } from './devices/threads.ts'
import { type RelaxedSimd, relaxedSimd } from './devices/relaxed-simd.ts'
import { createWasmDevice, wasmUnmet } from './devices/wasm.ts'
import { createWebgpuDevice, webgpuUnmet } from './devices/webgpu.ts'
import { together } from './abort.ts'
import { checkAborted, fail } from './error-codes.ts'
import { LlamacError } from './error.ts'
import { Host } from './host.ts'
import { Session } from './session.ts'
import type { AnyEntries } from './session.ts'
import { createTokenizer } from './tokenizer/index.ts'
import type { Tokenizer } from './tokenizer/index.ts'

/** Makes a device from an artifact: how devices from outside the runtime (the reference evaluator) are loaded. */
export type DeviceFactory = (artifact: Artifact) => Device | Promise<Device>

export interface ModelOptions {
  /** 'auto': the first variant whose needs are met. A Device is taken as it is, and disposed of with the model. */
  readonly device?: 'auto' | 'wasm' | 'webgpu' | Device | DeviceFactory
  /**
   * How many threads run a call on WASM: a number, or 'auto' (the default, see devices/threads.ts). Where memory cannot be shared
   * (a page without cross-origin isolation) one thread runs alone. Results under `--math strict` do not depend on it.
   */
  readonly threads?: number | 'auto'
  /** Where WebGPU comes from; by default navigator.gpu. */
  readonly gpu?: GPU | GPUDevice
  readonly signal?: AbortSignal
  readonly onProgress?: (event: LoadProgress) => void
}

export interface Model<Entries extends object = AnyEntries> {
  readonly manifest: Manifest
  /** Undefined when the artifact has none: pass ids. */
  readonly tokenizer: Tokenizer | undefined
  /** 'wasm', 'webgpu', … */
  readonly device: string
  /** A new sequence with states of its own. E_OUT_OF_MEMORY, E_ARGUMENT, E_DISPOSED. */
  createSession(options?: { readonly seed?: number }): Session<Entries>
  /** Waits for running calls, then frees weights and sessions. Idempotent. */
  dispose(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Loads an artifact: a folder (Node), a URL, files in memory, or one that is open already.
 * E_ARTIFACT_* (not an artifact, wrong version, damaged), E_NO_WEIGHTS, E_NO_DEVICE, E_OUT_OF_MEMORY, E_CSP, E_TOKENIZER, E_ABORTED.
 */
export async function load<Entries extends object = AnyEntries>(
  source: ArtifactSource | Artifact,
  options: ModelOptions = {},
): Promise<Model<Entries>> {
  const { signal } = options
  checkAborted(signal)
  // What the engine can do is asked now: then a device asks for its program at once, which another thread may have to build, before
  // making a tokenizer takes this one.
  const [artifact, simd] = await Promise.all([readArtifact(source, signal), relaxedSimd()])
  // Each waits for files while the other works.
  const [{ device, recreate }, tokenizer] = await together(
    signal,
    (abort) => openDevice(artifact, { ...options, signal: abort }, simd),
    async (abort) => {
      const compact = await artifact.tokenizer(abort)
      return compact && createTokenizer(compact)
    },
    (made) => made.first?.device.dispose(),
  )
  if (signal?.aborted) {
    device.dispose()
    checkAborted(signal)
  }
  const host = new Host(artifact.manifest, tokenizer, device, recreate)
  return {
    manifest: artifact.manifest,
    tokenizer,
    get device() {
      return host.deviceName
    },
    createSession: (sessionOptions) => new Session<Entries>(host, sessionOptions),
    dispose: () => host.dispose(),
    [Symbol.asyncDispose]: () => host.dispose(),
  }
}

interface OpenedDevice {
  readonly device: Device
  /** Makes another one, where devices can be lost. */
  readonly recreate?: () => Promise<Device>
}

async function openDevice(artifact: Artifact, options: ModelOptions, simd: RelaxedSimd): Promise<OpenedDevice> {
  const { device = 'auto', signal, onProgress } = options
  if (typeof device === 'function') return { device: await device(artifact) }
  if (typeof device === 'object') return { device }
  const gpu = options.gpu ?? (typeof navigator === 'undefined' ? undefined : navigator.gpu)
  const reasons: string[] = []
  for (const variant of artifact.manifest.variants) {
    const { target } = variant
    if (device !== 'auto' && device !== target) continue
    if (target === 'wasm') {
      const threads = threadCount(options.threads, artifact.manifest)
      const unmet = wasmUnmet(variant, simd, threads)
      if (unmet !== undefined) {
        reasons.push(`wasm: ${unmet}`)
        continue
      }
      try {
        return { device: await createWasmDevice(artifact, variant, { signal, onProgress, threads }) }
      } catch (cause) {
        // Threads that nobody asked for may be impossible (a page that forbids workers): one runs alone.
        if (typeof options.threads === 'number' || !variant.threads || !(cause instanceof LlamacError && cause.code === 'E_DEVICE'))
          throw cause
        reasons.push(`wasm: ${cause.message}`)
      }
    } else if (target === 'webgpu') {
      const unmet = await webgpuUnmet(variant, gpu)
      if (unmet !== undefined) {
        reasons.push(`webgpu: ${unmet}`)
        continue
      }
      const open = (progress: typeof onProgress): Promise<Device> =>
        createWebgpuDevice(artifact, variant, gpu!, { signal, onProgress: progress })
      // A device that the caller owns is theirs to replace.
      return 'requestAdapter' in gpu!
        ? { device: await open(onProgress), recreate: () => open(undefined) }
        : { device: await open(onProgress) }
    } else reasons.push('reference: it runs in the compiler, not in the runtime')
  }
  if (reasons.length === 0) {
    const targets = artifact.manifest.variants.map(({ target }) => target).join(', ') || 'nothing'
    fail(
      'E_NO_DEVICE',
      `the artifact was compiled for ${targets}, not for ${device}: compile it with --target ${device === 'auto' ? 'wasm' : device}`,
    )
  }
  return fail('E_NO_DEVICE', `no variant of the artifact can run here: ${reasons.join('; ')}`)
}
