// An artifact in a folder, for Node: the only file of the runtime that touches node:fs, loaded by dynamic import so that
// bundles for browsers never see it. Weights are read straight to where a device wants them, if it says where; streams read into two
// buffers in turn: one is hashed and copied while the next fills.
import { checkAborted, fail } from '../error-codes.ts'
import { chunkBytes } from './check-manifest.ts'
import type { ArtifactFiles } from './sources.ts'

/** `folder`: a path or a file: URL. E_ARTIFACT_FILE when a file cannot be read. */
export async function folderFiles(folder: string | URL): Promise<ArtifactFiles> {
  const { open, readFile } = await import('node:fs/promises')
  const { createHash } = await import('node:crypto')
  const { join } = await import('node:path')
  const { fileURLToPath } = await import('node:url')
  const where = folder instanceof URL || folder.startsWith('file:') ? fileURLToPath(folder) : folder
  const unreadable = (name: string, cause: unknown): never =>
    fail('E_ARTIFACT_FILE', `cannot read ${join(where, name)}: ${(cause as Error).message}`, cause)
  return {
    where,
    async open(name) {
      const unread = (cause: unknown): never => unreadable(name, cause)
      const file = await open(join(where, name)).catch(unread)
      const bytes = await file.stat().then(({ size }) => size, unread)
      return {
        bytes,
        async fill(offset, into) {
          for (let done = 0; done < into.length; ) {
            const { bytesRead } = await file.read(into, done, into.length - done, offset + done).catch(unread)
            if (bytesRead === 0) unread({ message: 'it became shorter' })
            done += bytesRead
          }
          return createHash('sha256').update(into).digest('hex')
        },
        close: () => file.close(),
      }
    },
    async read(name, signal) {
      checkAborted(signal)
      try {
        return new Uint8Array(await readFile(join(where, name)))
      } catch (cause) {
        return unreadable(name, cause)
      }
    },
    async *stream(name, signal) {
      checkAborted(signal)
      const file = await open(join(where, name)).catch((cause: unknown) => unreadable(name, cause))
      try {
        const buffers = [new Uint8Array(chunkBytes), new Uint8Array(chunkBytes)] as const
        const fill = async (buffer: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> => {
          let length = 0
          while (length < buffer.length) {
            const { bytesRead } = await file.read(buffer, length, buffer.length - length)
            if (bytesRead === 0) break
            length += bytesRead
          }
          return buffer.subarray(0, length)
        }
        let turn = 0
        let pending = fill(buffers[0])
        try {
          for (;;) {
            const piece = await pending.catch((cause: unknown) => unreadable(name, cause))
            checkAborted(signal)
            if (piece.length === 0) return
            turn = 1 - turn
            pending = fill(buffers[turn as 0 | 1])
            yield piece
          }
        } finally {
          await pending.catch(() => {}) // never close the file under a read
        }
      } finally {
        await file.close()
      }
    },
  }
}
