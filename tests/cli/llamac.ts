// The command line as a process of its own, from the sources.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { dataPath } from '../support/goldens.ts'

export const root = fileURLToPath(new URL('../../', import.meta.url))
const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url))

export function llamac(...args: readonly string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { cwd: root, encoding: 'utf8' })
  return { status, stdout, stderr }
}

/** Flags of a small model that writes stories, with its tokenizer. */
export const stories = [
  'models/llama.dsl',
  '--weights',
  dataPath('checkpoints/stories260K.legacy.bin'),
  '--tokenizer',
  dataPath('checkpoints/tok512.bin'),
] as const
