// The compilation behind an artifact, made again from what the artifact keeps: its source record, the numbers and formats in its
// manifest, and its stored weights. Compiling is reproducible, so kernels, plan and addresses are those of the artifact's
// programs as long as the compiler is the same one; `matches` tells.

import { loadModel } from '../dsl/index.ts'
import { LlamacError } from '../runtime/error.ts'
import type { Manifest } from '../runtime/artifact/manifest.ts'
import type { Artifact } from '../runtime/artifact/read.ts'
import { isCompiledHere } from './artifact/compiled.ts'
import { emitArtifact, type FileSink } from './artifact/contents.ts'
import { parseSourceRecord } from './artifact/source-record.ts'
import { type Compilation, compileModel, type TargetResult } from './compile.ts'
import { hasErrors } from './fit.ts'
import { type FormatName, isFormatName, type LayoutName } from './formats/index.ts'
import type { CacheRule } from './plan/caches.ts'
import { canonicalPaths } from './plan/weights.ts'
import type { TargetName } from './targets/index.ts'
import type { BoundWeight } from './weights/index.ts'
import { unpackTensor } from './weights/unpack.ts'

export interface Recompiled {
  readonly compilation: Compilation
  readonly result: TargetResult
  /** Whether the artifact's programs for the target have the steps and addresses of this compilation. */
  readonly matches: boolean
  /** Whether they are the same, byte for byte. */
  readonly unaltered: boolean
}

/** Only the manifest counts, with its hashes. */
const nowhere: FileSink = { create: async () => ({ write() {}, close() {} }) }

/** E_NO_SOURCE when the artifact keeps no source; else whatever reading it and compiling say. Reads no weights. */
export async function recompile(artifact: Artifact, target: TargetName, signal?: AbortSignal): Promise<Recompiled> {
  const { manifest } = artifact
  if (!manifest.source) {
    throw new LlamacError(
      'E_NO_SOURCE',
      `${artifact.where} keeps no source of its model (it was compiled with --no-source, or by an older version): give the .dsl file and its weights instead`,
    )
  }
  const record = parseSourceRecord(await artifact.program({ program: manifest.source.file, sha256: manifest.source.sha256 }, signal))
  const loaded = loadModel(record.entry, (path) => (Object.hasOwn(record.files, path) ? record.files[path] : undefined), {
    model: record.model,
  })
  const specialised = loaded.model?.specialise({
    ...(manifest.preset === undefined ? {} : { preset: manifest.preset }),
    config: { kind: 'fields', values: manifest.config, file: 'manifest.json' },
    maximum: record.maximum,
  })
  const problems = [...loaded.diagnostics, ...(specialised?.diagnostics ?? [])]
  const model = specialised?.model
  if (!model || hasErrors(problems)) throw sourceFault(artifact, problems)
  const compiled = compileModel(model, {
    targets: record.targets,
    math: manifest.math,
    ...(manifest.activations ? { activations: manifest.activations } : {}),
    quant: 'keep',
    cache: storedCaches(manifest),
    disabledPasses: record.disabledPasses,
    taps: record.taps ?? [],
    weights: storedFormats(manifest),
  })
  if (!compiled.compilation || hasErrors(compiled.diagnostics)) throw sourceFault(artifact, compiled.diagnostics)
  const { compilation } = compiled
  const result = compilation.results.find((one) => one.target === target)
  if (!result?.plan)
    throw new LlamacError('E_NO_DEVICE', `${artifact.where} was compiled for ${record.targets.join(', ')}, not for ${target}`)

  const made = await emitArtifact({ ...compilation.contents, withWeights: false }, nowhere)
  return {
    compilation,
    result,
    matches: shapeOf(manifest, target) === shapeOf(made, target),
    unaltered: isCompiledHere(manifest) || hashesOf(manifest, target) === hashesOf(made, target),
  }
}

/** A weight's values as the artifact stores them, by concrete path; ties are followed. Decoded at first use, then kept. */
export type StoredWeights = (path: string) => { readonly dims: readonly number[]; readonly data: Float64Array }

/** Reads all weights into memory. */
export async function readStoredWeights(
  artifact: Artifact,
  { compilation, result }: Recompiled,
  signal?: AbortSignal,
): Promise<StoredWeights> {
  const { tensors } = artifact.manifest
  const bytes = tensors.map((tensor) => new Uint8Array(tensor.bytes))
  await artifact.loadTensors((tensor, offset, part) => bytes[tensor]!.set(part, offset), { signal })
  const canonical = canonicalPaths(compilation.model.weights)
  const known = new Map<string, ReturnType<StoredWeights>>()
  return (path) => {
    const own = canonical(path)
    const before = known.get(own)
    if (before) return before
    const index = tensors.findIndex((tensor) => tensor.path === own)
    const planned = result.plan!.layout.tensors.find((tensor) => tensor.path === own)
    if (index < 0 || !planned) throw new Error(`internal: no values for ${path}`)
    const { dims, format } = tensors[index]!
    const elements = dims.reduce((product, dim) => product * dim, 1)
    const stored = { format: format as FormatName, layout: planned.layout as LayoutName, rows: planned.rows, k: elements / planned.rows }
    const value = { dims, data: Float64Array.from(unpackTensor(bytes[index]!, stored)) }
    known.set(own, value)
    return value
  }
}

const sourceFault = (artifact: Artifact, diagnostics: readonly { readonly message: string }[]): LlamacError =>
  new LlamacError(
    'E_NO_SOURCE',
    `the source that ${artifact.where} keeps cannot be compiled by this version: ${diagnostics[0]?.message ?? 'no model in it'}`,
  )

/** Formats alone: with the policy to keep them, the same kernels come out whatever policy and checkpoint chose them at first. */
function storedFormats(manifest: Manifest): ReadonlyMap<string, BoundWeight> {
  const read = (): never => {
    throw new Error('internal: an artifact is not written again from its own weights')
  }
  return new Map(
    manifest.tensors.flatMap(({ path, dims, format }) =>
      isFormatName(format) && !path.startsWith('table:') ? [[path, { path, dims, format, read }] as const] : [],
    ),
  )
}

/** The states that are stored as halves or in blocks, whether the model says so or a flag did. */
const storedCaches = (manifest: Manifest): readonly CacheRule[] =>
  manifest.states.flatMap(({ path, dtype, format = dtype }) =>
    format === 'f16' || format === 'q8_0' ? [{ paths: path, policy: format }] : [],
  )

/** All but the programs' own bytes: those are what is to be examined. */
function shapeOf({ tensors, variants }: Manifest, target: TargetName): string {
  const ofTarget = variants.filter((variant) => variant.target === target).map((variant) => ({ ...variant, sha256: '' }))
  return JSON.stringify([tensors.map(({ path, format, layout, bytes }) => [path, format, layout, bytes]), ofTarget])
}

const hashesOf = ({ variants }: Manifest, target: TargetName): string =>
  variants.flatMap((variant) => (variant.target === target && 'sha256' in variant ? [variant.sha256] : [])).join()
