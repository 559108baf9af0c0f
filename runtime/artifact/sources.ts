// Where an artifact's files come from. Anything that can name, read and stream files will do; three sources are built in:
// memory (here), URLs (here), folders on disk (node-files.ts).
import { checkAborted, fail } from '../error-codes.ts'

export interface ArtifactFiles {
  /** For messages: a path, a URL. */
  readonly where: string
  /** The whole file. E_ARTIFACT_FILE when it is missing. */
  read(name: string, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>
  /** The file in pieces of any size, in order. A piece may be overwritten once the next one is asked for. */
  stream(name: string, signal?: AbortSignal): AsyncIterable<Uint8Array<ArrayBuffer>>
  /** Where bytes can be read to the place where they are wanted, shared memory included. */
  open?(name: string): Promise<PlacedFile>
}

export interface PlacedFile {
  readonly bytes: number
  /** Fills `into` with the bytes from `offset` on, and gives their SHA-256 in hex. */
  fill(offset: number, into: Uint8Array): Promise<string>
  close(): Promise<void>
}

/** What users pass to `load`: a path (Node), a URL, files in memory, or a source of their own. */
export type ArtifactSource = string | URL | ReadonlyMap<string, Uint8Array> | ArtifactFiles

/** Files in memory: what `packArtifact` gives. */
export function memoryFiles(files: ReadonlyMap<string, Uint8Array>): ArtifactFiles {
  const where = 'memory'
  const get = (name: string): Uint8Array<ArrayBuffer> => {
    const bytes = files.get(name)
    if (!bytes) fail('E_ARTIFACT_FILE', `the artifact has no file ${name}`)
    // crypto.subtle refuses views of shared memory.
    return bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes)
  }
  return {
    where,
    read: async (name) => get(name),
    async *stream(name) {
      yield get(name)
    },
  }
}

/** Files under a URL, by fetch. */
export function urlFiles(base: string | URL): ArtifactFiles {
  const root = String(base).replace(/\/*$/, '/')
  async function get(name: string, signal: AbortSignal | undefined): Promise<Response> {
    const url = root + name
    checkAborted(signal)
    let response: Response
    try {
      response = await fetch(url, signal ? { signal } : {})
    } catch (cause) {
      checkAborted(signal)
      fail('E_ARTIFACT_FILE', `cannot fetch ${url}: ${(cause as Error).message}`, cause)
    }
    if (!response.ok) fail('E_ARTIFACT_FILE', `cannot fetch ${url}: status ${response.status}`)
    return response
  }
  /** A connection may also break after its headers. */
  async function guarded<T>(name: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (cause) {
      checkAborted(signal)
      fail('E_ARTIFACT_FILE', `${root}${name} broke off: ${(cause as Error).message}`, cause)
    }
  }
  return {
    where: root,
    async read(name, signal) {
      const response = await get(name, signal)
      return guarded(name, signal, async () => new Uint8Array(await response.arrayBuffer()))
    },
    async *stream(name, signal) {
      const reader = (await get(name, signal)).body?.getReader()
      if (!reader) return
      try {
        for (;;) {
          const { done, value } = await guarded(name, signal, () => reader.read())
          if (done) return
          yield value as Uint8Array<ArrayBuffer>
        }
      } finally {
        // Leaving the loop early must close the connection.
        await reader.cancel().catch(() => {})
      }
    },
  }
}

/** A path is a folder in Node and a URL relative to the page in browsers. */
export async function openSource(source: ArtifactSource): Promise<ArtifactFiles> {
  if (source instanceof Map) return memoryFiles(source)
  if (typeof source === 'object' && 'stream' in source) return source
  const inNode = typeof process !== 'undefined' && typeof process.versions?.node === 'string'
  const location = String(source)
  if (inNode && !/^(https?|data|blob):/.test(location)) {
    const { folderFiles } = await import('./node-files.ts')
    return folderFiles(source as string | URL)
  }
  return urlFiles(typeof document === 'undefined' ? location : new URL(location, document.baseURI))
}
