// Where tensors lie in the weight files: in the given order, each at a multiple of 256, files of at most 256 MiB (a larger tensor
// has a file of its own). And the bytes of one file: padded, hashed in chunks of 4 MiB while they stream through.
import { chunkBytes } from '../../runtime/artifact/check-manifest.ts'
import { sha256 } from '../../runtime/artifact/read.ts'

export const tensorAlignment = 256
export const shardLimit = 256 * 1024 * 1024

export interface ShardPlan {
  /** By tensor. */
  readonly places: readonly { readonly shard: number; readonly offset: number }[]
  /** Bytes by shard. */
  readonly sizes: readonly number[]
}

/** `sizes`: bytes by tensor. */
export function planShards(sizes: readonly number[], limit: number = shardLimit): ShardPlan {
  const places: { shard: number; offset: number }[] = []
  const shards: number[] = []
  for (const bytes of sizes) {
    let offset = Math.ceil((shards.at(-1) ?? 0) / tensorAlignment) * tensorAlignment
    if (shards.length === 0 || (offset > 0 && offset + bytes > limit)) {
      shards.push(0)
      offset = 0
    }
    shards[shards.length - 1] = offset + bytes
    places.push({ shard: shards.length - 1, offset })
  }
  return { places, sizes: shards }
}

/** Takes bytes in any pieces; gives `write` whole chunks (valid until it returns) and collects their hashes. */
export class ChunkHasher {
  readonly hashes: string[] = []
  readonly #write: (bytes: Uint8Array) => void | Promise<void>
  readonly #buffer = new Uint8Array(chunkBytes)
  #filled = 0
  #position = 0

  constructor(write: (bytes: Uint8Array) => void | Promise<void>) {
    this.#write = write
  }

  /** Bytes taken so far. */
  get position(): number {
    return this.#position
  }

  async push(bytes: Uint8Array): Promise<void> {
    let at = 0
    while (at < bytes.length) {
      const take = Math.min(bytes.length - at, chunkBytes - this.#filled)
      this.#buffer.set(bytes.subarray(at, at + take), this.#filled)
      this.#filled += take
      at += take
      if (this.#filled === chunkBytes) await this.#flush()
    }
    this.#position += bytes.length
  }

  /** Zeros up to `offset`. */
  async padTo(offset: number): Promise<void> {
    await this.push(new Uint8Array(offset - this.#position))
  }

  async end(): Promise<void> {
    if (this.#filled > 0) await this.#flush()
  }

  async #flush(): Promise<void> {
    const chunk = this.#buffer.subarray(0, this.#filled)
    this.hashes.push(await sha256(chunk))
    await this.#write(chunk)
    this.#filled = 0
  }
}
