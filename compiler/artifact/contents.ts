// What an artifact is made of, as the compile pipeline hands it over, and its way into files: programs, tokenizer and weights
// are named, placed and hashed here, the manifest comes last. Weights are made in pieces, so memory holds one piece
// and one chunk. The same contents always give the same bytes.
import { checkManifest } from '../../runtime/artifact/check-manifest.ts'
import { packMerges } from './pack-merges.ts'
import { manifestFormat } from '../../runtime/artifact/manifest.ts'
import type { Manifest, ShardManifest, TensorManifest, Variant, WasmVariant, WebgpuProgram } from '../../runtime/artifact/manifest.ts'
import { sha256 } from '../../runtime/artifact/read.ts'
import { packWebgpuProgram } from '../../runtime/artifact/webgpu-program.ts'
import { LlamacError } from '../../runtime/error.ts'
import type { CompactTokenizer } from '../../runtime/tokenizer/compact.ts'
import { type SourceRecord, sourceRecordFile } from './source-record.ts'
import { ChunkHasher, planShards, type ShardPlan } from './shards.ts'

/** A weight or a compile-time table, in its storage format and layout. */
export interface ArtifactTensor {
  readonly path: string
  readonly dims: readonly number[]
  readonly format: string
  readonly layout: string
  /** Of all pieces together. */
  readonly bytes: number
  /**
   * The bytes in order, made anew at each call. A piece is good until the next one is asked for. With `into`, of all bytes, pieces are
   * its parts where the tensor can be made there.
   */
  pieces(into?: Uint8Array): Iterable<Uint8Array>
}

/** All bytes of a tensor. */
export function tensorBytes({ path, bytes, pieces }: Pick<ArtifactTensor, 'path' | 'bytes' | 'pieces'>): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(bytes)
  let at = 0
  for (const piece of pieces()) {
    if (at + piece.length <= bytes) whole.set(piece, at)
    at += piece.length
  }
  expectBytes(path, at, bytes)
  return whole
}

export function expectBytes(path: string, made: number, bytes: number): void {
  if (made !== bytes) throw new Error(`internal: ${path} gave ${made} bytes instead of ${bytes}`)
}

export type VariantContents =
  /** `memory.tensors[i]` is the address of `tensors[i]` below. The program is built when it is asked for. */
  | (Omit<WasmVariant, 'program' | 'sha256'> & { program(): Promise<Uint8Array<ArrayBuffer>> })
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

type CompiledVariant = Exclude<VariantContents, { target: 'reference' }>

/** Variants that differ in what they require only have one program. */
export const programFile = (variants: readonly VariantContents[], { target, program }: CompiledVariant): string =>
  `program-${variants.findIndex((other) => 'program' in other && other.program === program)}.${target === 'wasm' ? 'wasm' : 'webgpu.json'}`

export const programBytes = async (variant: CompiledVariant): Promise<Uint8Array<ArrayBuffer>> =>
  variant.target === 'wasm' ? variant.program() : compactJson(packWebgpuProgram(variant.program))

export const sourceBytes = (source: SourceRecord): Uint8Array<ArrayBuffer> => json(source)

/** The tensors as the manifest has them, with the files that `planShards` puts them into. */
export function describeTensors(tensors: readonly ArtifactTensor[]): { readonly plan: ShardPlan; readonly described: TensorManifest[] } {
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
  return { plan, described }
}

/** Writes every file, manifest.json last, and gives the manifest. */
export async function emitArtifact(contents: ArtifactContents, sink: FileSink, options: WriteOptions = {}): Promise<Manifest> {
  const put = async (name: string, bytes: Uint8Array): Promise<void> => {
    const file = await sink.create(name, bytes.length)
    await file.write(bytes)
    await file.close()
  }
  // Another thread may build modules: all are asked for at once, and weights are written meanwhile.
  const programs = new Map<string, Promise<Uint8Array<ArrayBuffer>>>()
  for (const variant of contents.variants) {
    if (variant.target === 'reference') continue
    const file = programFile(contents.variants, variant)
    if (!programs.has(file)) programs.set(file, programBytes(variant))
  }
  for (const program of programs.values()) program.catch(() => {}) // told when its turn comes, if it does
  const { tensors, shards } = await emitWeights(contents, sink, options)
  const hashes = new Map<string, string>()
  for (const [file, program] of programs) {
    const bytes = await program
    await put(file, bytes)
    hashes.set(file, await sha256(bytes))
  }
  const variants = contents.variants.map((variant): Variant => {
    if (variant.target === 'reference') return { target: variant.target, requires: variant.requires }
    const program = programFile(contents.variants, variant)
    return { ...variant, program, sha256: hashes.get(program)! }
  })
  let tokenizer: Manifest['tokenizer']
  if (contents.tokenizer) {
    const bytes = compactJson(packMerges(contents.tokenizer))
    tokenizer = { file: 'tokenizer.json', sha256: await sha256(bytes) }
    await put(tokenizer.file, bytes)
  }
  let source: Manifest['source']
  if (contents.source) {
    const bytes = sourceBytes(contents.source)
    source = { file: sourceRecordFile, sha256: await sha256(bytes) }
    await put(source.file, bytes)
  }
  for (const [name, extra] of contents.extras ?? []) await put(name, typeof extra === 'string' ? new TextEncoder().encode(extra) : extra)
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
  const { plan, described } = describeTensors(tensors)
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
        const tensor = tensors[index]!
        for (const piece of tensor.pieces()) await hasher.push(piece)
        expectBytes(tensor.path, hasher.position - place.offset, tensor.bytes)
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
