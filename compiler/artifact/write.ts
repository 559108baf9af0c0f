// An artifact into a folder, or into memory. A folder is complete or absent: files go into a neighbour with a temporary name,
// which takes the folder's name at the very end. Only an empty folder or an older artifact is ever replaced.
import type { Manifest } from '../../runtime/artifact/manifest.ts'
import { LlamacError } from '../../runtime/error.ts'
import { emitArtifact } from './contents.ts'
import type { ArtifactContents, WriteOptions } from './contents.ts'

export type { ArtifactContents, ArtifactTensor, VariantContents, WriteOptions } from './contents.ts'

/**
 * Writes `folder` (Node only). E_OUTPUT_FOLDER when something that is not an artifact is there, or it cannot be written;
 * E_ABORTED. After an error the folder is as it was before.
 */
export async function writeArtifact(contents: ArtifactContents, folder: string, options: WriteOptions = {}): Promise<Manifest> {
  const { mkdir, open, rename, rm } = await import('node:fs/promises')
  const { basename, dirname, join, resolve } = await import('node:path')
  const target = resolve(folder)
  const exists = await checkReplaceable(target)
  const unique = `${process.pid.toString(36)}${Math.floor(performance.now() * 1000).toString(36)}`
  const beside = (suffix: string): string => join(dirname(target), `.${basename(target)}.${unique}.${suffix}`)
  const partial = beside('partial')
  try {
    // In two steps: a folder that cannot be made where its parent is there (/proc) sends Node's recursive one in a circle.
    await onDisk(partial, async () => {
      await mkdir(dirname(partial), { recursive: true })
      await mkdir(partial)
    })
    const manifest = await emitArtifact(
      contents,
      {
        async create(name) {
          const path = join(partial, name)
          const file = await onDisk(path, () => open(path, 'wx'))
          return {
            write: (bytes) =>
              onDisk(path, async () => {
                for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
              }),
            // On a crash of the machine a renamed folder must not hold files without their bytes.
            close: () =>
              onDisk(path, async () => {
                await file.sync()
                await file.close()
              }),
          }
        },
      },
      options,
    )
    const old = beside('old')
    await onDisk(target, async () => {
      if (exists) await rename(target, old)
      try {
        await rename(partial, target)
      } catch (cause) {
        if (exists) await rename(old, target)
        throw cause
      }
      if (exists) await rm(old, { recursive: true, force: true })
    })
    return manifest
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
}

/** The same files in memory: for `load(files)`, tests, and running a model without writing it. */
export async function packArtifact(contents: ArtifactContents, options: WriteOptions = {}): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>()
  await emitArtifact(
    contents,
    {
      async create(name, size) {
        const bytes = new Uint8Array(size)
        let at = 0
        files.set(name, bytes)
        return {
          write(part) {
            bytes.set(part, at)
            at += part.length
          },
          close() {},
        }
      },
    },
    options,
  )
  return files
}

/** True when an artifact or an empty folder is there, false when nothing is. E_OUTPUT_FOLDER otherwise. */
async function checkReplaceable(target: string): Promise<boolean> {
  const { readdir, readFile } = await import('node:fs/promises')
  const { join } = await import('node:path')
  let names: string[]
  try {
    names = await readdir(target)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw new LlamacError('E_OUTPUT_FOLDER', `${target} is there and is not a folder`, { cause })
  }
  if (names.length === 0) return true
  try {
    const manifest: unknown = JSON.parse(await readFile(join(target, 'manifest.json'), 'utf8'))
    if (typeof manifest === 'object' && manifest !== null && 'format' in manifest && 'generator' in manifest && 'variants' in manifest)
      return true
  } catch {
    // No manifest, or not ours: refused below.
  }
  throw new LlamacError('E_OUTPUT_FOLDER', `${target} holds files but is not an artifact: it is not overwritten; choose another folder`)
}

async function onDisk<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw new LlamacError('E_OUTPUT_FOLDER', `cannot write ${path}: ${(cause as Error).message}`, { cause })
  }
}
