// A vite plugin: the model that ships, compiled by this very package for both targets, under model/ beside the page.

import type { Plugin } from 'vite'
import { compile, defaultModel, nodeFiles, openCheckpoint, packageSources, renderAll } from '../../compiler/index.ts'

const prefix = 'model/'

async function compileShipped(): Promise<ReadonlyMap<string, Uint8Array>> {
  const checkpoint = openCheckpoint(defaultModel().weights, nodeFiles)
  const result = await compile(packageSources(), { entry: 'models/llama.dsl', checkpoint, target: ['wasm', 'webgpu'] })
  if (!result.ok) throw new Error(renderAll(result.diagnostics))
  return result.artifact
}

export function shippedModel(): Plugin {
  return {
    name: 'shipped-model',
    async generateBundle() {
      for (const [name, source] of await compileShipped()) this.emitFile({ type: 'asset', fileName: prefix + name, source })
    },
    configureServer(server) {
      let compiled: ReturnType<typeof compileShipped> | undefined
      server.middlewares.use(async (request, response, next) => {
        const { pathname } = new URL(request.url ?? '/', 'http://localhost')
        if (!pathname.startsWith(`/${prefix}`)) return next()
        const bytes = (await (compiled ??= compileShipped())).get(pathname.slice(prefix.length + 1))
        if (bytes) response.setHeader('content-type', 'application/octet-stream').end(bytes)
        else response.writeHead(404).end()
      })
    },
  }
}
