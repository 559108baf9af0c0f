// Files in memory, for readers of checkpoints.

import { type Files, fromBytes } from '../../compiler/weights/byte-source.ts'

export const memoryFiles = (contents: Readonly<Record<string, Uint8Array>>): Files => ({
  open: (path) => (Object.hasOwn(contents, path) ? fromBytes(contents[path]!, path) : undefined),
  isFolder: () => false,
})
