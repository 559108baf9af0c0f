// Builds a WASM module in a thread of its own: loading binaryen takes as long as checking and planning a model, so it begins at
// once and is ready when the plan is. The thread ends with the module, and its memory with it; later ones are built here.

import { Worker } from 'node:worker_threads'
import type { BuildProgram } from '../compiler/targets/wasm/program.ts'

export type BuildRequest = Parameters<BuildProgram>
export type BuildAnswer = { readonly binary: Uint8Array<ArrayBuffer> } | { readonly error: unknown }

/** Starts the thread. It does not keep the process alive. */
export function startBuilder(): BuildProgram {
  // tsc rewrites imports, but not a URL.
  const file = import.meta.url.endsWith('.ts') ? './module-worker.ts' : './module-worker.js'
  let worker: Worker | undefined = new Worker(new URL(file, import.meta.url))
  let failed: Error | undefined
  worker.unref()
  worker.on('error', (error) => {
    failed = error as Error
  })
  return async (...request) => {
    const own = worker
    worker = undefined
    if (!own || failed) {
      const { buildModule } = await import('../compiler/targets/wasm/module.ts')
      return buildModule(...request).binary
    }
    own.ref()
    try {
      const answer = await new Promise<BuildAnswer>((resolve, reject) => {
        own.once('message', resolve)
        own.once('error', reject)
        own.postMessage(request)
      })
      if ('error' in answer) throw answer.error
      return answer.binary
    } finally {
      void own.terminate()
    }
  }
}
