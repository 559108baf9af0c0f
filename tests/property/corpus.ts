// Cases that once failed, kept as text: replayed before anything random. A case tells why it is kept.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Case, caseText, parseCase } from './case.ts'

const folder = fileURLToPath(new URL('corpus/', import.meta.url))

export interface Kept {
  readonly file: string
  readonly why: string
  readonly case: Case
}

export function corpus(): readonly Kept[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => {
      const { why, ...rest } = parseCase(readFileSync(folder + file, 'utf8'))
      return { file, why, case: rest }
    })
}

/** Writes a case that fails; gives the file. */
export function keep(random: Case, why: string): string {
  const text = caseText(random, why)
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  mkdirSync(folder, { recursive: true })
  const file = `${folder}found-${(hash >>> 0).toString(16).padStart(8, '0')}.json`
  writeFileSync(file, text)
  return file
}
