// What the test page runs: `ask` answers calls here, or in a module worker when the address ends in #worker; `runtime` is the
// runtime itself, for tests that are written as a user's script would be. The same file is the worker's script.

import * as runtime from '../../../runtime/index.ts'
import { type Answer, type Call, invoke } from './objects.ts'

export interface PageGlobals {
  ask(call: Call): Promise<Answer>
  readonly runtime: typeof runtime
}

function askWorker(): PageGlobals['ask'] {
  const worker = new Worker(import.meta.url, { type: 'module' })
  const waiting = new Map<number, (answer: Answer) => void>()
  let count = 0
  worker.onmessage = ({ data }: MessageEvent<{ id: number; answer: Answer }>) => {
    waiting.get(data.id)!(data.answer)
    waiting.delete(data.id)
  }
  worker.onerror = ({ message }) => {
    for (const answer of waiting.values()) answer({ error: { name: 'Error', message: `the worker failed: ${message}` } })
    waiting.clear()
  }
  return (call) =>
    new Promise((resolve) => {
      waiting.set(++count, resolve)
      worker.postMessage({ id: count, call })
    })
}

if (typeof document === 'undefined') {
  globalThis.onmessage = async ({ data: { id, call } }: MessageEvent<{ id: number; call: Call }>) => {
    globalThis.postMessage({ id, answer: await invoke(call) })
  }
} else {
  const globals: PageGlobals = { ask: location.hash === '#worker' ? askWorker() : invoke, runtime }
  Object.assign(globalThis, globals)
}
