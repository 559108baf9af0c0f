// What a command says of a path that is something else than it wants, and what becomes of a file that it writes again.

import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { share } from '../../cli/flags.ts'
import { openSource } from '../../cli/open-model.ts'
import { readSource, replaceSource } from '../../cli/model-files.ts'
import { openModelFile } from '../../cli/project.ts'
import { writeArtifact } from '../../compiler/artifact/write.ts'
import { compileForTest } from '../support/compiled.ts'
import { llamac } from './llamac.ts'

const folder = mkdtempSync(join(tmpdir(), 'llamac-paths-'))
afterAll(() => rmSync(folder, { recursive: true }))

const named = (name: string): string => join(folder, name)
writeFileSync(named('weights.gguf'), 'GGUF')
mkdirSync(named('empty'))
mkdirSync(named('artifact'))
writeFileSync(join(named('artifact'), 'manifest.json'), '{}')

test.each([
  ['nothing', 'is not there: give the folder of an artifact, or a .dsl'],
  ['weights.gguf', `models/llama.dsl --weights ${named('weights.gguf')}`],
  ['empty', 'it has no manifest.json'],
])('to run %s', async (name, message) => {
  const opened = openSource(named(name), { device: 'auto' })
  await expect(opened).rejects.toMatchObject({ code: 'E_ARTIFACT_FILE', message: expect.stringContaining(message) })
})

test.each([
  ['empty', 'is a folder: name a .dsl file'],
  ['artifact', "compiled already: name its model's .dsl file"],
])('as a source: %s', async (name, message) => {
  const refusal = { code: 'E_SOURCE_FILE', message: expect.stringContaining(message) }
  await expect(openModelFile(named(name))).rejects.toMatchObject(refusal)
  expect(() => readSource(named(name))).toThrow(expect.objectContaining(refusal))
})

test('a source is replaced at once, where a link leads, with the rights it had; or stays', () => {
  const [file, link] = [named('real.dsl'), named('link.dsl')]
  writeFileSync(file, 'old')
  chmodSync(file, 0o640)
  symlinkSync(file, link)
  replaceSource(link, 'new')
  expect(readFileSync(file, 'utf8')).toBe('new')
  expect(statSync(file).mode & 0o777).toBe(0o640)
  expect(lstatSync(link).isSymbolicLink()).toBe(true)
  // What cannot be written, here since a file is in the way, leaves all as it was.
  const before = readdirSync(folder)
  writeFileSync(`${file}.${process.pid}.partial`, 'in the way')
  expect(() => replaceSource(file, 'newer')).toThrow(expect.objectContaining({ code: 'E_OUTPUT_FILE' }))
  expect(readFileSync(file, 'utf8')).toBe('new')
  expect(readdirSync(folder)).toEqual(before)
})

test.runIf(process.platform === 'linux')('an artifact where no folder can be made', async () => {
  const { compilation } = await compileForTest({ model: 'llama', checkpoint: 'checkpoints/stories260K.v1.bin', targets: [] })
  await expect(writeArtifact(compilation.contents, '/proc/llamac-artifact')).rejects.toMatchObject({ code: 'E_OUTPUT_FOLDER' })
})

test('a full context ends a text, which is said', () => {
  const short = llamac('run', '--ctx', '8', '--prompt', 'To be')
  expect(short).toMatchObject({ status: 0, stderr: expect.stringContaining('the context is full (--ctx)') })
})

test('a share is at most 1', () => {
  expect(share('0.95')).toBe(0.95)
  for (const text of ['3', '-0.1', '', 'half']) expect(() => share(text)).toThrow('a number from 0 to 1')
})
