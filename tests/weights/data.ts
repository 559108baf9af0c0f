// Where the independent test data lies (LLAMAC_DATA, by default ../shared/data beside the project).

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { resolve } from 'node:path'

const root = process.env['LLAMAC_DATA'] ?? resolve(fileURLToPath(new URL('../../', import.meta.url)), '../shared/data')

/** Path of a data file or folder; throws when it is missing, so that a test fails instead of passing without data. */
export function dataPath(name: string): string {
  const path = resolve(root, name)
  if (!existsSync(path)) throw new Error(`the test data ${name} is missing (set LLAMAC_DATA)`)
  return path
}

export const dataBytes = (name: string): Uint8Array => new Uint8Array(readFileSync(dataPath(name)))
export const dataText = (name: string): string => readFileSync(dataPath(name), 'utf8')
