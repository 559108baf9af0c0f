// What an artifact is made of, as the compile pipeline hands it over, and its way into files: programs, tokenizer and weights
// are named, placed and hashed here, the manifest comes last. Weights are produced one tensor at a time, so memory holds one
// tensor and one chunk. The same contents always give the same bytes.
import { checkManifest } from '../../runtime/artifact/check-manifest.ts'
import { packMerges } from './pack-merges.ts'
import { manifestFormat } from '../../runtime/artifact/manifest.ts'
import type { Manifest, ShardManifest, TensorManifest, Variant, WasmVariant, WebgpuProgram } from '../../runtime/artifact/manifest.ts'
import { sha256 } from '../../runtime/artifact/read.ts'
import { packWebgpuProgram } from '../../runtime/artifact/webgpu-program.ts'
import { LlamacError } from '../../runtime/error.ts'
import type { CompactTokenizer } from '../../runtime/tokenizer/compact.ts'
import { type SourceRecord, sourceRecordFile } from './source-record.ts'
import { ChunkHasher, planShards } from './shards.ts'

/** A weight or a compile-time table, in its storage format and layout. */
export interface ArtifactTensor {
  readonly path: string
  readonly dims: readonly number[]
  readonly format: string
  readonly layout: string
  /** Exactly what `produce` gives. */
  readonly bytes: number
  /** Called once, when the tensor's turn has come. The array is read before the next tensor is produced, and not kept. */
  produce(): Uint8Array | Promise<Uint8Array>
}

export type VariantContents =
  /** `memory.tensors[i]` is the address of `tensors[i]` below. */
  | (Omit<WasmVariant, 'program' | 'sha256'> & { readonly program: Uint8Array })
  | { readonly target: 'webgpu'; readonly requires: readonly string[]; readonly program: WebgpuProgram }
  | { readonly target: 'reference'; readonly requires: readonly string[] }

export interface ArtifactContents {
  readonly manifest: Omit<Manifest, 'format' | 'tensors' | 'shards' | 'variants' | 'tokenizer' | 'source'>
  /** In file order: what programs refer to by index. */
  readonly tensors: readonly ArtifactTensor[]
  /** False: describe the tensors but write no bytes (`compile` without weights). */
  readonly withWeights: boolean
  /** In order of preference: the runtime takes the first that it can run. */
  readonly variants: readonly VariantContents[]
  readonly tokenizer?: CompactTokenizer | undefined
  /** What it was made from; absent: the artifact cannot be compiled again. */
  readonly source?: SourceRecord | undefined
  /** Further files by name (typed bindings, printed kernels); the runtime does not read them. */
  readonly extras?: ReadonlyMap<string, string | Uint8Array>
}

export interface WriteOptions {
  readonly signal?: AbortSignal | undefined
  /** Bytes of weights so far and altogether. */
  readonly onProgress?: ((event: { readonly type: 'weights'; readonly loaded: number; readonly total: number }) => void) | undefined
}

/** Where files go. `bytes`: the size the file will have. */
export interface FileSink {
  create(name: string, bytes: number): Promise<{ write(bytes: Uint8Array): void | Promise<void>; close(): void | Promise<void> }>
}

const json = (value: unknown): Uint8Array<ArrayBuffer> => new TextEncoder().encode(`${JSON.stringify(value, undefined, 1)}\n`)
const compactJson = (value: unknown): Uint8Array<ArrayBuffer> => new TextEncoder().encode(JSON.stringify(value))

/** Writes every file, manifest.json last, and gives the manifest. */
export async function emitArtifact(contents: ArtifactContents, sink: FileSink, options: WriteOptions = {}): Promise<Manifest> {
  const put = async (name: string, bytes: Uint8Array): Promise<void> => {
    const file = await sink.create(name, bytes.length)
    await file.write(bytes)
    await file.close()
  }
  const variants: Variant[] = []
  for (const [index, variant] of contents.variants.entries()) {
    if (variant.target === 'reference') {
      variants.push({ target: 'reference', requires: variant.requires })
      continue
    }
    const bytes = variant.target === 'wasm' ? new Uint8Array(variant.program) : compactJson(packWebgpuProgram(variant.program))
    const program = `program-${index}.${variant.target === 'wasm' ? 'wasm' : 'webgpu.json'}`
    await put(program, bytes)
    variants.push({ ...variant, program, sha256: await sha256(bytes) })
  }
  let tokenizer: Manifest['tokenizer']
  if (contents.tokenizer) {
    const bytes = compactJson(packMerges(contents.tokenizer))
    tokenizer = { file: 'tokenizer.json', sha256: await sha256(bytes) }
    await put(tokenizer.file, bytes)
  }
  let source: Manifest['source']
  if (contents.source) {
    const bytes = json(contents.source)
    source = { file: sourceRecordFile, sha256: await sha256(bytes) }
    await put(source.file, bytes)
  }
  for (const [name, extra] of contents.extras ?? []) await put(name, typeof extra === 'string' ? new TextEncoder().encode(extra) : extra)
  const { tensors, shards } = await emitWeights(contents, sink, options)
  const manifest: Manifest = {
    format: manifestFormat,
    ...contents.manifest,
    tensors,
    shards,
    variants,
    ...(tokenizer ? { tokenizer } : {}),
    ...(source ? { source } : {}),
  }
  const bytes = json(manifest)
  try {
    checkManifest(JSON.parse(new TextDecoder().decode(bytes))) // what the runtime will refuse must not be written
  } catch (cause) {
    throw new Error(`internal: the manifest is wrong: ${(cause as Error).message}`, { cause })
  }
  await put('manifest.json', bytes)
  return manifest
}

async function emitWeights(
  { tensors, withWeights }: ArtifactContents,
  sink: FileSink,
  { signal, onProgress }: WriteOptions,
): Promise<{ tensors: TensorManifest[]; shards: ShardManifest[] }> {
  const plan = planShards(tensors.map(({ bytes }) => bytes))
  const described = tensors.map(
    ({ path, dims, format, layout, bytes }, index): TensorManifest => ({
      path,
      dims: [...dims],
      format,
      layout,
      ...plan.places[index]!,
      bytes,
    }),
  )
  const shards: ShardManifest[] = []
  if (!withWeights) return { tensors: described, shards }
  const total = plan.sizes.reduce((sum, bytes) => sum + bytes, 0)
  let before = 0
  for (const [shard, bytes] of plan.sizes.entries()) {
    const file = `weights-${String(shard).padStart(3, '0')}.bin`
    const output = await sink.create(file, bytes)
    try {
      const hasher = new ChunkHasher((chunk) => output.write(chunk))
      for (const [index, place] of plan.places.entries()) {
        if (place.shard !== shard) continue
        if (signal?.aborted) throw new LlamacError('E_ABORTED', 'writing the artifact was aborted', { cause: signal.reason })
        await hasher.padTo(place.offset)
        const produced = await tensors[index]!.produce()
        if (produced.length !== tensors[index]!.bytes) {
          throw new Error(`internal: ${tensors[index]!.path} gave ${produced.length} bytes instead of ${tensors[index]!.bytes}`)
        }
        await hasher.push(produced)
        onProgress?.({ type: 'weights', loaded: before + hasher.position, total })
      }
      await hasher.end()
      shards.push({ file, bytes, chunks: hasher.hashes })
    } finally {
      await output.close()
    }
    before += bytes
  }
  return { tensors: described, shards }
}
