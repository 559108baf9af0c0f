// Who may import whom. Folders are the layers: an import that goes another way is a fault, not a matter of taste. Types,
// re-exports and import() count too; comments do not.

import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, posix, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))

interface Import {
  /** Both from the project's root; packages by name. */
  readonly file: string
  readonly target: string
  readonly typeOnly: boolean
  /** `import(…)`, when it is needed. */
  readonly lazy: boolean
}

const statement = /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|(?<=\W)import\(\s*'([^']+)'\s*\)(\.\w)?/g

function importsOf(folder: string): Import[] {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  expect(files.length, folder).toBeGreaterThan(0)
  return files.flatMap((name) => {
    const file = relative(root, join(root, folder, name)).replaceAll('\\', '/')
    const text = readFileSync(join(root, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
    return [...text.matchAll(statement)].map((found): Import => {
      const target = (found[2] ?? found[3])!
      // `import('x').T` names a type.
      const typeOnly = found[1] !== undefined || found[4] !== undefined
      return { file, typeOnly, lazy: found[3] !== undefined, target: target.startsWith('.') ? posix.join(dirname(file), target) : target }
    })
  })
}

const layers = { dsl: importsOf('dsl'), compiler: importsOf('compiler'), runtime: importsOf('runtime'), cli: importsOf('cli') }
const everything = Object.values(layers).flat()

const isBuiltin = (target: string): boolean => builtinModules.includes(target.replace(/^node:/, ''))
const isPackage = (target: string): boolean => !/^(dsl|compiler|runtime|cli|tests)\//.test(target) && !isBuiltin(target)
const shown = (imports: readonly Import[]): string[] => imports.map(({ file, target }) => `${file} imports ${target}`)

test('the language imports nothing of ours', () => {
  expect(shown(layers.dsl.filter(({ target }) => !target.startsWith('dsl/') && target !== 'chevrotain'))).toEqual([])
})

test('the runtime imports itself and no package', () => {
  expect(shown(layers.runtime.filter(({ target }) => !target.startsWith('runtime/') && !isBuiltin(target)))).toEqual([])
})

test('Node is behind a door in the runtime: one file', () => {
  const files = new Set(layers.runtime.filter(({ target, typeOnly }) => isBuiltin(target) && !typeOnly).map(({ file }) => file))
  expect([...files]).toEqual(['runtime/artifact/node-files.ts'])
})

test('the compiler imports the language, and of the runtime what an artifact is', () => {
  const types = new Set([
    'runtime/artifact/manifest.ts',
    'runtime/artifact/read.ts',
    'runtime/tokenizer/compact.ts',
    'runtime/devices/device.ts',
  ])
  // Values, not only types: the writer of artifacts and their reader share the format's constants and checks, written once.
  const formatValues = new Set([
    'runtime/artifact/manifest.ts', // manifestFormat: the version that an artifact states
    'runtime/artifact/check-manifest.ts', // checkManifest, chunkBytes: what is written must pass what is read
    'runtime/artifact/read.ts', // sha256
    'runtime/tokenizer/piece-ids.ts', // packed merges name tokens as the runtime will
    'runtime/artifact/webgpu-program.ts', // packWebgpuProgram: the form on disk, beside its reader
  ])
  // The same for tokenizers: the version of their form, and training must cut text into words, and words into bytes, as the runtime will.
  const tokenizerValues = new Set([
    'runtime/tokenizer/byte-alphabet.ts',
    'runtime/tokenizer/compact.ts',
    'runtime/tokenizer/split-words.ts',
  ])
  const allowed = ({ file, target, typeOnly }: Import): boolean =>
    !target.startsWith('runtime/') ||
    target === 'runtime/error.ts' ||
    (typeOnly && types.has(target)) ||
    (file.startsWith('compiler/artifact/') && formatValues.has(target)) ||
    // The words that the runtime gives a sampler.
    (file === 'compiler/sampler/parts.ts' && target === 'runtime/artifact/webgpu-program.ts') ||
    // How a module's sampler is called, and how it weighs.
    (/^compiler\/(sampler|targets\/wasm)\//.test(file) && target === 'runtime/artifact/wasm-sampler.ts') ||
    (file.startsWith('compiler/weights/tokenizers/') && tokenizerValues.has(target))
  const wrong = layers.compiler.filter((each) => each.target.startsWith('cli/') || !allowed(each))
  expect(shown(wrong)).toEqual([])
})

test('packages stay where they belong', () => {
  const homes: Readonly<Record<string, string>> = {
    chevrotain: 'dsl/',
    binaryen: 'compiler/targets/wasm/',
    'ts-morph': 'compiler/artifact/',
    commander: 'cli/',
    webgpu: 'cli/',
  }
  const strays = everything.filter(({ file, target }) => isPackage(target) && !file.startsWith(homes[target] ?? 'nowhere'))
  expect(shown(strays.filter(({ file }) => !file.startsWith('cli/')))).toEqual([])
  expect(shown(strays.filter(({ target }) => target in homes))).toEqual([])
})

/** All that is loaded with some files, without what they import only when it is needed. */
function reachedFrom(files: readonly string[]): Set<string> {
  const reached = new Set(files)
  for (const from of reached)
    for (const { file, target, typeOnly, lazy } of everything) if (file === from && !typeOnly && !lazy) reached.add(target)
  return reached
}

test('pages compile too: from texts and a checkpoint to a model, nothing needs Node', () => {
  const path = ['compile', 'fit', 'call-size', 'recompile', 'estimate', 'artifact/compiled', 'weights/checkpoint']
  const reached = reachedFrom(path.map((file) => `compiler/${file}.ts`))
  expect(reached.size).toBeGreaterThan(100)
  expect([...reached].filter(isBuiltin)).toEqual([])
})

test('the command line starts without the compiler and its packages: commands import them when they need them', () => {
  const reached = reachedFrom(['cli/main.ts', 'cli/commands.ts'])
  expect([...reached].filter(isPackage)).toEqual(['commander'])
  expect(reached).not.toContain('compiler/compile.ts')
})
