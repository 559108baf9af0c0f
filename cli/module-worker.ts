// The thread of module-builder.ts: one program in, its module out. binaryen is 15 MB of text, so it comes from Node's compile cache,
// which every thread turns on and writes for itself.

import module from 'node:module'
import { parentPort } from 'node:worker_threads'
import type { BuildAnswer, BuildRequest } from './module-builder.ts'

const port = parentPort
if (!port) throw new Error('internal: module-worker.ts runs as a worker')
module.enableCompileCache()
const { buildModule } = await import('../compiler/targets/wasm/module.ts')
port.on('message', (request: BuildRequest) => {
  const answer = (): BuildAnswer => {
    try {
      return { binary: buildModule(...request).binary }
    } catch (error) {
      return { error }
    }
  }
  port.postMessage(answer())
  // The thread ends with its answer, and nothing is written at such an end.
  module.flushCompileCache()
})
