// Random access to bytes that may be too many for memory, and the little file system that readers of checkpoints see. The
// readers run anywhere; node-source.ts is the only place that touches a disk.

export interface ByteSource {
  /** How messages call it. */
  readonly name: string
  readonly size: number
  /**
   * Exactly `length` bytes from `offset`; the range lies within the size (readers check declared ranges first). Into `into`, of
   * this length, if it is given.
   */
  read(offset: number, length: number, into?: Uint8Array): Uint8Array
}

/** Where checkpoints lie. Paths are as the user wrote them, with either slash. */
export interface Files {
  /** The file's bytes, or undefined when there is no such file. */
  open(path: string): ByteSource | undefined
  isFolder(path: string): boolean
}

/** Bytes in memory as a source; reads are views. */
export function fromBytes(bytes: Uint8Array, name = 'bytes'): ByteSource {
  return {
    name,
    size: bytes.byteLength,
    read(offset, length, into) {
      if (offset < 0 || length < 0 || offset + length > bytes.byteLength) throw new Error(`internal: read past the end of ${name}`)
      const view = bytes.subarray(offset, offset + length)
      into?.set(view)
      return into ?? view
    },
  }
}

/** A file beside another one: `beside('a/b.index.json', 'c')` = `a/c`. */
export function beside(path: string, name: string): string {
  const cut = Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\'))
  return path.slice(0, cut + 1) + name
}

/** A file in a folder. */
export const inside = (folder: string, name: string): string => (/[/\\]$/.test(folder) ? folder + name : `${folder}/${name}`)
