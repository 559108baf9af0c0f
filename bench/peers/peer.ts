// What the peers have in common: `llamac bench --compare` starts one as a command and tells by environment how long a prompt to read,
// how many tokens to generate after it and on how many threads; one line of JSON answers. The packages are no dependencies of the
// project: they are installed on first use, at a version that is pinned here, or beforehand into a folder given as --peers.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/** What to measure. */
export interface PeerTask {
  /** Path of the GGUF. */
  readonly model: string
  /** Tokens of the prompt, and tokens generated after it. */
  readonly prefill: number
  readonly decode: number
  readonly threads: number
  /** A file of one of the packages. */
  file(path: string): string
  /** Further words of the command line. */
  readonly words: readonly string[]
}

/** Tokens per second. */
export interface PeerRates {
  readonly prefill: number
  readonly decode: number
}

/** Installs `packages` (name to version) if need be, runs the measurement, prints its line, and ends the process. */
export async function runAsPeer(
  packages: Readonly<Record<string, string>>,
  measure: (task: PeerTask) => Promise<PeerRates>,
): Promise<never> {
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true, options: { peers: { type: 'string' } } })
    const [model, ...words] = positionals
    if (model === undefined || !existsSync(model)) throw new Error('give the path of a GGUF')
    const folder = resolve(values.peers ?? fileURLToPath(new URL('../../node_modules/.cache/llamac/peers', import.meta.url)))
    install(folder, packages)
    const asked = (name: string, otherwise: number): number => Number(process.env[`LLAMAC_${name}`] ?? otherwise)
    const task: PeerTask = {
      model: resolve(model),
      prefill: asked('PREFILL', 128),
      decode: asked('DECODE', 32),
      threads: asked('THREADS', 1),
      file: (path) => join(folder, 'node_modules', path),
      words,
    }
    console.log(JSON.stringify(await measure(task)))
    // Engines leave threads behind that would keep the process alive.
    process.exit(0)
  } catch (cause) {
    console.error((cause as Error).message)
    process.exit(1)
  }
}

function install(folder: string, packages: Readonly<Record<string, string>>): void {
  const missing = Object.entries(packages).filter(([name, version]) => installedVersion(folder, name) !== version)
  if (missing.length === 0) return
  const wanted = missing.map(([name, version]) => `${name}@${version}`)
  const flags = ['--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund', '--loglevel=error']
  const { status, stderr } = spawnSync('npm', ['install', '--prefix', folder, ...flags, ...wanted], { encoding: 'utf8' })
  if (status !== 0)
    throw new Error(
      `cannot install ${wanted.join(' ')} (${(stderr ?? '').trim().split('\n')[0] || 'there is no npm'}): ` +
        'install it where the registry can be reached (npm install --prefix DIR), and give --peers DIR',
    )
}

function installedVersion(folder: string, name: string): string | undefined {
  const path = join(folder, 'node_modules', name, 'package.json')
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version : undefined
}

/** Ids that repeat no short pattern, as `llamac bench` makes them up. */
export const madeUpIds = (count: number, vocabulary: number): number[] =>
  Array.from({ length: count }, (_, i) => (i * 7919 + 101) % vocabulary)
