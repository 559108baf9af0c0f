// From a model file and a checkpoint to a model that runs, the way the command line goes, without files in between: specialise
// with the checkpoint's config, bind the weights, compile, pack in memory, load. Compilations are kept per test file.

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { createNodeGpu } from '../../cli/webgpu-node.ts'
import { packArtifact } from '../../compiler/artifact/write.ts'
import { type Compilation, compileModel } from '../../compiler/compile.ts'
import type { CacheFormat } from '../../compiler/plan/caches.ts'
import type { QuantPolicy, QuantRule } from '../../compiler/plan/quant-policy.ts'
import { createReferenceDevice } from '../../compiler/targets/reference/device.ts'
import type { Activations, TargetName } from '../../compiler/targets/index.ts'
import { fitModel } from '../../compiler/fit.ts'
import { nodeFiles, openCheckpoint, openTokenizer, readConfig } from '../../compiler/weights/index.ts'
import { decodeAll } from '../../compiler/weights/plain-tensor.ts'
import type { Diagnostic } from '../../dsl/diagnostics.ts'
import { loadModel, type ReadSource } from '../../dsl/index.ts'
import type { Device } from '../../runtime/devices/device.ts'
import { relaxedSimd } from '../../runtime/devices/relaxed-simd.ts'
import { createWasmDevice, wasmUnmet } from '../../runtime/devices/wasm.ts'
import { type Artifact, load, memoryFiles, type Model } from '../../runtime/index.ts'
import { dataPath } from './goldens.ts'

export interface CompileRequest {
  /** A file of models/, without its ending, or `examples/name`. */
  readonly model: string
  /** File or folder of the test data. */
  readonly checkpoint: string
  readonly targets: readonly TargetName[]
  /** Tokenizer file of the test data, where the checkpoint has none. */
  readonly tokenizer?: string
  /** Config file of the test data, instead of the checkpoint's own. */
  readonly config?: string
  /** Fields, instead of what the config says. */
  readonly set?: Readonly<Record<string, string>>
  readonly quant?: QuantPolicy | readonly QuantRule[]
  readonly cache?: CacheFormat
  readonly math?: 'fast' | 'strict'
  readonly activations?: Activations
  /** Most ids that one call reads. */
  readonly maxSeq?: number
  /** Paths whose values are results too. */
  readonly taps?: readonly string[]
  /** Only these entries: a software GPU takes long to load what nobody calls. */
  readonly entries?: readonly string[]
}

export interface Compiled {
  readonly compilation: Compilation
  readonly files: ReadonlyMap<string, Uint8Array>
  /** A weight's values as the checkpoint has them, by concrete path; ties are followed. */
  weight(path: string): { readonly dims: readonly number[]; readonly data: Float64Array }
  /** Loads it; the caller disposes of it. 'webgpu' is the software GPU; one thread unless `threads` says more. */
  open(device: TargetName, options?: { readonly threads?: number }): Promise<Model>
}

const root = fileURLToPath(new URL('../../', import.meta.url))

const readProject: ReadSource = (path) => {
  const file = path.startsWith('std/') ? `${root}dsl/${path}` : root + path
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

function expectNone(what: string, diagnostics: readonly Diagnostic[]): void {
  if (diagnostics.length > 0) throw new Error(`${what}: ${diagnostics.map(({ code, message }) => `${code} ${message}`).join('; ')}`)
}

const compilations = new Map<string, Promise<Compiled>>()
let softwareGpu: Promise<GPU> | undefined

/** Compiles; requests that say the same share one result. Throws where anything has a diagnostic. */
export function compileForTest(request: CompileRequest): Promise<Compiled> {
  const key = JSON.stringify(request)
  const known = compilations.get(key) ?? compileNow(request)
  compilations.set(key, known)
  return known
}

async function compileNow(request: CompileRequest): Promise<Compiled> {
  const { model: name, maxSeq: seq = 64 } = request
  const checkpoint = openCheckpoint(dataPath(request.checkpoint), nodeFiles)
  const loaded = loadModel(`${name.includes('/') ? '' : 'models/'}${name}.dsl`, readProject)
  expectNone(name, loaded.diagnostics)
  const config = request.config === undefined ? checkpoint.config : readConfig(nodeFiles.open(dataPath(request.config))!)
  const numbers = { ...(config ? { config } : {}), ...(request.set ? { set: request.set } : {}), maximum: { seq } }
  const { model, weights, diagnostics } = fitModel(loaded.model!, numbers, { checkpoint })
  expectNone(name, diagnostics)
  const tokenizer = request.tokenizer === undefined ? checkpoint.tokenizer : openTokenizer(dataPath(request.tokenizer), nodeFiles)
  const { entries = model!.entries.map((entry) => entry.name) } = request
  const wanted = { ...model!, entries: model!.entries.filter((entry) => entries.includes(entry.name)) }
  const { compilation, diagnostics: faults } = compileModel(wanted, {
    targets: request.targets,
    math: request.math ?? 'strict',
    ...(request.activations ? { activations: request.activations } : {}),
    quant: request.quant ?? 'none',
    ...(request.cache ? { cache: request.cache } : {}),
    weights: weights!,
    verify: true,
    ...(request.taps ? { taps: request.taps } : {}),
    ...(tokenizer ? { tokenizer } : {}),
  })
  expectNone(name, faults)
  const files = await packArtifact(compilation!.contents)

  const ties = new Map(model!.weights.map(({ path, tied }) => [path, tied]))
  const values = new Map<string, { readonly dims: readonly number[]; readonly data: Float64Array }>()
  const weight = (path: string): { readonly dims: readonly number[]; readonly data: Float64Array } => {
    const source = weights!.get(path)
    const tied = ties.get(path)
    if (!source) return tied === undefined ? fault(`the checkpoint gives no ${path}`) : weight(tied)
    const found = values.get(path) ?? { dims: source.dims, data: Float64Array.from(decodeAll(source)) }
    values.set(path, found)
    return found
  }
  return {
    compilation: compilation!,
    files,
    weight,
    async open(device, { threads = 1 } = {}) {
      const source = memoryFiles(files)
      if (device === 'reference') return load(source, { device: createReferenceDevice(compilation!.graphs, { weight }) })
      if (device === 'wasm') return load(source, { device: (artifact) => wholeTeam(artifact, threads) })
      softwareGpu ??= createNodeGpu({ software: true })
      return load(source, { device, gpu: await softwareGpu })
    },
  }
}

/** Where the number of threads is what is tested, every call is for all of them. */
async function wholeTeam(artifact: Artifact, threads: number): Promise<Device> {
  for (const variant of artifact.manifest.variants)
    if (variant.target === 'wasm' && wasmUnmet(variant, await relaxedSimd(), threads) === undefined)
      return createWasmDevice(artifact, variant, { threads, always: true })
  return fault('no variant runs here')
}

function fault(message: string): never {
  throw new Error(message)
}
