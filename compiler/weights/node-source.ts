// Files on a disk as byte sources (Node). Every read opens and closes the file: no handle outlives a call, and a few hundred
// reads per checkpoint do not notice. A file that got shorter meanwhile is refused, not read as zeros.

import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { basename } from 'node:path'
import type { ByteSource, Files } from './byte-source.ts'
import { refusal } from './refusal.ts'

// One read call of the system gives at most 2 GiB.
const mostAtOnce = 2 ** 30

/** A file as a source; undefined when there is none. */
export function fileSource(path: string): ByteSource | undefined {
  const status = statSync(path, { throwIfNoEntry: false })
  if (!status?.isFile()) return undefined
  const name = basename(path)
  return {
    name,
    size: status.size,
    read(offset, length, into) {
      if (offset < 0 || length < 0 || offset + length > status.size) throw new Error(`internal: read past the end of ${name}`)
      const bytes = into ?? new Uint8Array(length)
      const handle = openSync(path, 'r')
      try {
        for (let done = 0; done < length; ) {
          const got = readSync(handle, bytes, done, Math.min(length - done, mostAtOnce), offset + done)
          if (got === 0) throw refusal('E_CHECKPOINT_CHANGED', name, 'the file became shorter while it was read', offset + done)
          done += got
        }
      } finally {
        closeSync(handle)
      }
      return bytes
    },
  }
}

/** The disk. */
export const nodeFiles: Files = {
  open: fileSource,
  isFolder: (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false,
}
