// What a page downloads to run a model: the runtime alone, bundled and minified, without any package.

import { gzipSync } from 'node:zlib'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { expect, test } from 'vitest'

test('the runtime is at most 40 kB, compressed', async () => {
  const entry = fileURLToPath(new URL('../../runtime/index.ts', import.meta.url))
  const result = await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      minify: true,
      target: 'es2022',
      lib: { entry, formats: ['es'] },
      // A library's minifying leaves spaces, line breaks and the names of files to whoever bundles it: a page does not download them.
      rollupOptions: { external: [/^node:/], output: { minify: true } },
    },
  })
  const chunks = [result].flat().flatMap((one) => ('output' in one ? one.output : []))
  const bytes = chunks.reduce((sum, chunk) => sum + (chunk.type === 'chunk' ? gzipSync(chunk.code).length : 0), 0)
  expect(bytes).toBeLessThanOrEqual(40_000)
  const imported = chunks.flatMap((chunk) => (chunk.type === 'chunk' ? [...chunk.imports, ...chunk.dynamicImports] : []))
  const own = new Set(chunks.map(({ fileName }) => fileName))
  expect(imported.filter((name) => !name.startsWith('node:') && !own.has(name))).toEqual([])
})
