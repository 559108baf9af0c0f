// `npm run page` serves the page, `npm run page:build` writes it to out/page: files for any static server, at any address.

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'
import { shippedModel } from './shipped-model.ts'

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** They allow shared memory, and with it threads; a server without them gets one thread. */
const headers = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }

export default defineConfig({
  root: at('.'),
  base: './',
  plugins: [shippedModel()],
  server: { headers, fs: { allow: [at('../..')] } },
  preview: { headers },
  worker: { format: 'es' },
  // Binaryen holds a WebAssembly module of 14 MB as text: nothing to gather or to shorten.
  optimizeDeps: { exclude: ['binaryen'] },
  build: { outDir: at('../../out/page'), emptyOutDir: true, target: 'esnext', chunkSizeWarningLimit: 20_000 },
})
