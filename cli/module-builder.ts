// Builds WASM modules in a thread of its own: loading binaryen takes as long as checking and planning a model, so it begins at
// once and is ready when the plan is. The thread ends with its last module, and its memory with it; later ones are built here.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { BuildProgram } from '../compiler/targets/wasm/program.ts'

export type BuildRequest = Parameters<BuildProgram>
export type BuildAnswer = { readonly binary: Uint8Array<ArrayBuffer> } | { readonly error: unknown }

export interface Builder extends Disposable {
  readonly build: BuildProgram
}

/** Starts the thread, for so many modules or until it is disposed of. It does not keep the process alive. */
export function startBuilder(modules: number): Builder {
  // tsc rewrites imports, but not a URL.
  const file = import.meta.url.endsWith('.ts') ? './module-worker.ts' : './module-worker.js'
  let worker: Worker | undefined = new Worker(new URL(file, import.meta.url))
  let failed: Error | undefined
  let built = 0
  let last: Promise<unknown> | undefined
  worker.unref()
  worker.on('error', (error) => {
    failed = error as Error
  })
  const end = (): void => {
    void worker?.terminate()
    worker = undefined
  }
  const inThread = async (own: Worker, request: BuildRequest): Promise<Uint8Array<ArrayBuffer>> => {
    own.ref()
    try {
      const answered = once(own, 'message') as Promise<[BuildAnswer]>
      own.postMessage(request)
      const [answer] = await answered
      if ('error' in answer) throw answer.error
      return answer.binary
    } finally {
      own.unref()
      if (++built >= modules) end()
    }
  }
  const one = async (request: BuildRequest): Promise<Uint8Array<ArrayBuffer>> => {
    if (worker && !failed) return inThread(worker, request)
    const { buildModule } = await import('../compiler/targets/wasm/module.ts')
    return buildModule(...request).binary
  }
  return {
    // One after the other, as answers come.
    build(...request) {
      const made = last ? last.then(() => one(request)) : one(request)
      last = made.catch(() => {})
      return made
    },
    [Symbol.dispose]: end,
  }
}
