// A Vulkan driver that runs on the CPU, so that WebGPU programs run where there is no GPU. The npm package @sparticuz/chromium
// carries SwiftShader as a brotli-packed tar, and a whole Chromium for the browser tests; they are unpacked once into
// node_modules/.cache/llamac and shared by all processes (written to a private folder, then renamed: whoever comes second throws
// its copy away). Linux on x64 only.

import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliDecompressSync } from 'node:zlib'
import { LlamacError } from '../runtime/error.ts'

/**
 * What can be unpacked, and from which files of the package. Chromium looks for the driver beside itself; `al2023` holds the
 * system libraries that a bare machine lacks.
 */
const parts = { swiftshader: ['swiftshader.tar'], chromium: ['chromium', 'swiftshader.tar', 'al2023.tar'] } as const

export type DriverPart = keyof typeof parts

const install = 'install it with: npm install --save-dev @sparticuz/chromium tar-stream'

const packageFolder = (): string => {
  try {
    const entry = fileURLToPath(import.meta.resolve('@sparticuz/chromium'))
    const marker = join('@sparticuz', 'chromium')
    return entry.slice(0, entry.lastIndexOf(marker + sep) + marker.length)
  } catch (cause) {
    throw new LlamacError('E_NO_WEBGPU', `the software GPU needs the package @sparticuz/chromium, which is not installed; ${install}`, {
      cause,
    })
  }
}

/** Somewhere to keep the unpacked files: beside the installed packages, or the system's temporary folder when that is read-only. */
const cacheFolder = (owner: string): string => {
  const version = (JSON.parse(readFileSync(join(owner, 'package.json'), 'utf8')) as { version: string }).version
  for (const root of [join(dirname(dirname(owner)), '.cache'), tmpdir()]) {
    const folder = join(root, 'llamac', `chromium-${version}`)
    try {
      mkdirSync(folder, { recursive: true })
      return folder
    } catch {}
  }
  throw new LlamacError('E_NO_WEBGPU', 'no writable folder to unpack the software GPU driver into')
}

const unpack = async (archive: string, into: string): Promise<void> => {
  const bytes = brotliDecompressSync(readFileSync(`${archive}.br`))
  if (!archive.endsWith('.tar')) return writeFileSync(join(into, basename(archive)), bytes, { mode: 0o755 })
  let tar: typeof import('tar-stream')
  try {
    tar = (await import('tar-stream')) as typeof import('tar-stream')
  } catch (cause) {
    throw new LlamacError('E_NO_WEBGPU', `the software GPU needs the package tar-stream, which is not installed; ${install}`, { cause })
  }
  const extract = tar.extract()
  extract.end(bytes)
  for await (const entry of extract) {
    const chunks: Uint8Array[] = []
    for await (const chunk of entry) chunks.push(chunk as Uint8Array)
    if (entry.header.type === 'file') writeFileSync(join(into, basename(entry.header.name)), Buffer.concat(chunks), { mode: 0o755 })
  }
}

/**
 * The folder that holds the files of one part, unpacked on first use. Safe when several processes ask at once.
 * Errors: E_NO_WEBGPU when the platform or a package is missing, with what to install.
 */
export const driverFolder = async (part: DriverPart): Promise<string> => {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new LlamacError('E_NO_WEBGPU', `the software GPU runs on linux-x64 only, this is ${process.platform}-${process.arch}`)
  }
  const owner = packageFolder()
  const cache = cacheFolder(owner)
  const target = join(cache, part)
  if (existsSync(target)) return target
  const scratch = mkdtempSync(join(cache, `${part}-`))
  try {
    for (const archive of parts[part]) await unpack(join(owner, 'bin', archive), scratch)
    chmodSync(scratch, 0o755)
    renameSync(scratch, target)
  } catch (error) {
    rmSync(scratch, { recursive: true, force: true })
    // Another process finished first: its folder is complete, since only complete folders are renamed into place.
    if (!existsSync(target)) throw error
  }
  return target
}
