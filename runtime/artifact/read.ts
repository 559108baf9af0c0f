// Opening an artifact: the manifest is checked at once; programs, tokenizer and weights when they are first used, each against
// its SHA-256. Weights stream through in 4 MiB chunks: a chunk is handed out only after its hash was right, and no more than
// a few chunks are in memory at a time. Where a source can read to a given place, and a device has one that looks like the file, the
// chunks go there at once, and the device waits until all their hashes were right.
import type { CompactTokenizer } from '../tokenizer/compact.ts'
import { checkAborted, fail } from '../error-codes.ts'
import { checkManifest, chunkBytes, lacksWeights } from './check-manifest.ts'
import { checkTokenizer } from './check-tokenizer.ts'
import type { Manifest } from './manifest.ts'
import { parseJson } from './shape.ts'
import { openSource } from './sources.ts'
import type { ArtifactSource, PlacedFile } from './sources.ts'

export interface LoadProgress {
  readonly type: 'weights' | 'pipelines'
  /** So far and altogether: bytes of weights, or compiled pipelines of a GPU. */
  readonly loaded: number
  readonly total: number
}

export interface LoadOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((event: LoadProgress) => void) | undefined
}

/** Where a device wants the tensors: number i from byte `places[i]` of `buffer` on. */
export interface TensorMemory {
  readonly buffer: ArrayBufferLike
  readonly places: readonly number[]
}

/** Takes bytes [offset, offset + bytes.length) of a tensor. Must copy what it keeps before it returns. */
export type TensorSink = (tensor: number, offset: number, bytes: Uint8Array<ArrayBuffer>) => void

export interface Artifact {
  readonly manifest: Manifest
  /** For messages. */
  readonly where: string
  /** A program's bytes. E_ARTIFACT_HASH. */
  program(variant: { readonly program: string; readonly sha256: string }, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>
  /** Undefined when the artifact has none. */
  tokenizer(signal?: AbortSignal): Promise<CompactTokenizer | undefined>
  /** E_NO_WEIGHTS. Devices ask before they take memory: an artifact without weights may describe more than there is. */
  needWeights(): void
  /**
   * Every tensor's bytes in file order, to a sink or into memory. There nobody may use them before all are right, which is when
   * this returns. E_NO_WEIGHTS, E_ARTIFACT_HASH, E_ARTIFACT_SIZE, E_ARTIFACT_FILE, E_ABORTED.
   */
  loadTensors(to: TensorSink | TensorMemory, options?: LoadOptions): Promise<void>
}

/** An artifact that is open already is given back. E_ARTIFACT_FILE, E_ARTIFACT_FORMAT, E_ARTIFACT_MANIFEST, E_ABORTED. */
export async function readArtifact(source: ArtifactSource | Artifact, signal?: AbortSignal): Promise<Artifact> {
  if (typeof source === 'object' && 'loadTensors' in source) return source
  const files = await openSource(source)
  const manifest = checkManifest(parseJson(await files.read('manifest.json', signal), 'manifest.json'))

  async function readChecked(name: string, sha256: string, abort: AbortSignal | undefined): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await files.read(name, abort)
    await checkHash(bytes, sha256, name)
    return bytes
  }

  function needWeights(): void {
    if (lacksWeights(manifest)) fail('E_NO_WEIGHTS', `${files.where} was compiled without weights: compile it with --weights`)
  }

  return {
    manifest,
    where: files.where,
    program: (variant, abort) => readChecked(variant.program, variant.sha256, abort),
    async tokenizer(abort) {
      if (!manifest.tokenizer) return undefined
      const { file, sha256 } = manifest.tokenizer
      return checkTokenizer(parseJson(await readChecked(file, sha256, abort), file))
    },
    needWeights,
    async loadTensors(to, { signal: abort, onProgress } = {}) {
      const { shards, tensors } = manifest
      needWeights()
      const sink = sinkOf(to)
      const total = shards.reduce((sum, { bytes }) => sum + bytes, 0)
      let loaded = 0
      const tell = (bytes: number): void => {
        loaded += bytes
        onProgress?.({ type: 'weights', loaded, total })
      }
      let tensor = 0 // the first that may still lack bytes: tensors are in file order
      for (const [shard, { file, bytes: size, chunks }] of shards.entries()) {
        const image = typeof to === 'function' ? undefined : imageOf(shard, manifest, to)
        if (image && files.open) {
          await readInPlace(await files.open(file), file, image, chunks, tell, abort)
          continue
        }
        while (tensor < tensors.length && tensors[tensor]!.shard < shard) tensor++
        let start = 0
        for await (const chunk of inChunks(files.stream(file, abort))) {
          const expected = chunks[start / chunkBytes]
          if (expected === undefined || start + chunk.length > size) fail('E_ARTIFACT_SIZE', `${file} is longer than ${size} bytes`)
          if (chunk.length < Math.min(chunkBytes, size - start))
            fail('E_ARTIFACT_SIZE', `${file} ends after ${start + chunk.length} of ${size} bytes`)
          await checkHash(chunk, expected, `${file}, byte ${start} and on`)
          checkAborted(abort)
          const end = start + chunk.length
          while (tensor < tensors.length) {
            const { shard: at, offset, bytes } = tensors[tensor]!
            if (at !== shard || offset >= end) break
            const from = Math.max(offset, start)
            const to = Math.min(offset + bytes, end)
            if (to > from) sink(tensor, from - offset, chunk.subarray(from - start, to - start))
            if (offset + bytes > end) break
            tensor++
          }
          start = end
          tell(chunk.length)
        }
        if (start < size) fail('E_ARTIFACT_SIZE', `${file} ends after ${start} of ${size} bytes`)
        while (tensor < tensors.length && tensors[tensor]!.shard === shard) tensor++ // empty tensors at the end of the shard
      }
    },
  }
}

/** A sink that copies into the memory, unless it is a sink already. */
export const sinkOf = (to: TensorSink | TensorMemory): TensorSink =>
  typeof to === 'function' ? to : (tensor, offset, bytes) => new Uint8Array(to.buffer, to.places[tensor]! + offset, bytes.length).set(bytes)

/** The part of the memory that is to hold the shard's bytes as they are in the file, if its tensors lie like that. */
function imageOf(shard: number, { tensors, shards }: Manifest, { buffer, places }: TensorMemory): Uint8Array | undefined {
  const first = tensors.findIndex((tensor) => tensor.shard === shard)
  if (first < 0) return undefined
  const base = places[first]! - tensors[first]!.offset
  const { bytes } = shards[shard]!
  const whole = tensors.every((tensor, i) => tensor.shard !== shard || places[i] === base + tensor.offset)
  return whole && base >= 0 && base + bytes <= buffer.byteLength ? new Uint8Array(buffer, base, bytes) : undefined
}

/** One chunk is read while the one before is hashed. */
async function readInPlace(
  from: PlacedFile,
  name: string,
  image: Uint8Array,
  chunks: readonly string[],
  tell: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    if (from.bytes !== image.length) {
      const differs = from.bytes > image.length ? 'is longer than' : `ends after ${from.bytes} of`
      fail('E_ARTIFACT_SIZE', `${name} ${differs} ${image.length} bytes`)
    }
    const partOf = (index: number): Uint8Array => image.subarray(index * chunkBytes, (index + 1) * chunkBytes)
    const fill = (index: number): Promise<string> => from.fill(index * chunkBytes, partOf(index))
    let next = chunks.length > 0 ? fill(0) : undefined
    for (const [index, expected] of chunks.entries()) {
      const pending = next!
      next = index + 1 < chunks.length ? fill(index + 1) : undefined
      next?.catch(() => {}) // told when its turn comes, if it does
      try {
        expectHash(await pending, expected, `${name}, byte ${index * chunkBytes} and on`)
        checkAborted(signal)
      } catch (cause) {
        await next?.catch(() => {}) // never close a file under a read
        throw cause
      }
      tell(partOf(index).length)
    }
  } finally {
    await from.close()
  }
}

/** The same bytes in pieces of exactly chunkBytes, but the last. Pieces that already fit are passed on without a copy. */
async function* inChunks(pieces: AsyncIterable<Uint8Array<ArrayBuffer>>): AsyncIterable<Uint8Array<ArrayBuffer>> {
  let buffer: Uint8Array<ArrayBuffer> | undefined
  let filled = 0
  for await (const piece of pieces) {
    let at = 0
    while (at < piece.length) {
      if (filled === 0 && piece.length - at >= chunkBytes) {
        yield piece.subarray(at, at + chunkBytes)
        at += chunkBytes
        continue
      }
      buffer ??= new Uint8Array(chunkBytes)
      const take = Math.min(chunkBytes - filled, piece.length - at)
      buffer.set(piece.subarray(at, at + take), filled)
      filled += take
      at += take
      if (filled === chunkBytes) {
        yield buffer
        filled = 0
      }
    }
  }
  if (filled > 0) yield buffer!.subarray(0, filled)
}

/** SHA-256 in lower-case hex. E_INSECURE_CONTEXT where the page may not use crypto.subtle. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const subtle = globalThis.crypto?.subtle
  if (!subtle) fail('E_INSECURE_CONTEXT', 'weights cannot be verified here: serve the page over https or from localhost')
  const digest = new Uint8Array(await subtle.digest('SHA-256', bytes))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

async function checkHash(bytes: Uint8Array<ArrayBuffer>, expected: string, what: string): Promise<void> {
  expectHash(await sha256(bytes), expected, what)
}

function expectHash(found: string, expected: string, what: string): void {
  if (found !== expected) fail('E_ARTIFACT_HASH', `${what}: the bytes are not those that the compiler wrote`)
}
