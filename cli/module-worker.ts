// The thread of module-builder.ts: one program in, its module out.

import { parentPort } from 'node:worker_threads'
import { buildModule } from '../compiler/targets/wasm/module.ts'
import type { BuildAnswer, BuildRequest } from './module-builder.ts'

const port = parentPort
if (!port) throw new Error('internal: module-worker.ts runs as a worker')
port.on('message', (request: BuildRequest) => {
  const answer = (): BuildAnswer => {
    try {
      return { binary: buildModule(...request).binary }
    } catch (error) {
      return { error }
    }
  }
  port.postMessage(answer())
})
