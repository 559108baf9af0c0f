// What a newcomer types first: `npm start`, `llamac run` without a file, and training a tokenizer of one's own.

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { nodeFiles } from '../../compiler/weights/node-source.ts'
import { openTokenizer } from '../../compiler/weights/tokenizers/open-tokenizer.ts'
import { createTokenizer } from '../../runtime/tokenizer/index.ts'
import { dataPath, dataText } from '../support/goldens.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'llamac-default-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function start(command: string, args: readonly string[], cwd: string): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    const texts = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => {
        texts[name] += text
      })
    child.on('error', reject).on('close', (code) => resolve({ code, ...texts }))
  })
}

const llamac = (...args: readonly string[]): Promise<Ended> => start(process.execPath, [join(root, 'cli/main.ts'), ...args], folder)

test('npm start writes verse', async () => {
  const { code, stdout, stderr } = await start('npm', ['start', '--silent'], root)
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/^\d+ tokens after a prompt of \d+ .* on wasm\n$/) })
  expect(stdout.split('\n').length).toBeGreaterThan(5)
  expect(stdout).toMatch(/[a-z]+ [a-z]+/)
})

test('run without a file runs the model that ships, from any folder', async () => {
  const { code, stdout, stderr } = await llamac('run', '-p', 'To be, or not', '-n', '200', '--math', 'strict')
  const golden = readFileSync(join(root, 'tests/golden/default-model.txt'), 'utf8')
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout.length).toBeGreaterThan(300)
  expect(golden.startsWith(`To be, or not${stdout.slice(0, -1)}`)).toBe(true)
  const refused = await llamac('run', '--weights', 'other.gguf')
  expect([refused.code, refused.stdout]).toEqual([2, ''])
  expect(refused.stderr).toContain("--weights needs a model's .dsl file")
})

test('train-tokenizer writes what tokenizers are read from, and says what it got', async () => {
  const file = join(folder, 'tokenizer.json')
  const args = [dataPath('bpe-train/corpus.en'), '--vocab', '400', '--special', '<|endoftext|>', '--add-bos', '-o', file]
  const { code, stdout, stderr } = await llamac('train-tokenizer', ...args)
  expect([code, stdout]).toEqual([0, `${file}\n`])
  expect(stderr).toContain('400 tokens: 1 special, 256 bytes, 143 merged')
  const tokenizer = createTokenizer(openTokenizer(file, nodeFiles))
  const text = dataText('bpe-train/corpus.en').slice(0, 1000)
  const ids = tokenizer.encode(text)
  expect([tokenizer.size, ids[0], tokenizer.decode(ids)]).toEqual([400, 0, text])

  const few = join(folder, 'few.txt')
  writeFileSync(few, 'aa aa')
  const json = await llamac('train-tokenizer', few, '--vocab', '400', '-o', file, '--json')
  expect(JSON.parse(json.stdout)).toEqual({ file, vocabulary: 257, merges: 1, characters: 5, tokens: 3 })
  writeFileSync(few, Uint8Array.of(0xff, 0x41))
  const wrong: readonly (readonly [readonly string[], number, string])[] = [
    [[few, '--vocab', '300'], 1, 'error[E_TEXT_FILE]'],
    [[join(folder, 'none'), '--vocab', '300'], 1, 'error[E_TEXT_FILE]'],
    [[dataPath('bpe-train/corpus.en'), '--vocab', '257', '--special', 'ab', '--special', 'cd', '-o', file], 1, 'error[E_ARGUMENT]'],
    [[dataPath('bpe-train/corpus.en'), '--vocab', '300', '-o', join(folder, 'no', 'such')], 1, 'error[E_OUTPUT_FILE]'],
    [[few], 2, '--vocab'],
  ]
  for (const [flags, exit, message] of wrong) {
    const ended = await llamac('train-tokenizer', ...flags)
    expect([flags, ended.code, ended.stdout]).toEqual([flags, exit, ''])
    expect(ended.stderr).toContain(message)
  }
})
