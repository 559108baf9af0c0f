// Starts workers on every platform: Web Workers where there are any, else Node's worker_threads.
import { nodeThreads } from './worker-port.ts'

/** One end of a worker's channel, from the side that started it. */
export interface StartedWorker {
  post(message: unknown): void
  /** The worker does not keep the process alive (Node) while this is false. */
  keepAlive(wanted: boolean): void
  terminate(): void
}

export interface WorkerEvents {
  onMessage(message: unknown): void
  /** An error nobody caught, or an end that nobody asked for. */
  onEnd(reason: string): void
}

/**
 * Starts a worker that runs wasm-worker.ts. Throws what the platform throws (a page may forbid workers). Bundlers look for
 * exactly this expression with `new URL`; the build puts `.js` for `.ts` (scripts/finish-build.ts).
 */
export function startWorker(events: WorkerEvents): StartedWorker {
  let asked = false
  const end = (reason: string): void => {
    if (!asked) events.onEnd(reason)
  }
  if (typeof Worker === 'function') {
    const worker = new Worker(new URL('./wasm-worker.ts', import.meta.url), { type: 'module' })
    worker.onmessage = ({ data }) => events.onMessage(data)
    worker.onerror = ({ message }) => end(message || 'it could not be started')
    return {
      post: (message) => worker.postMessage(message),
      keepAlive() {},
      terminate() {
        asked = true
        worker.terminate()
      },
    }
  }
  const threads = nodeThreads()
  if (!threads) throw new Error('internal: there are no workers here')
  // The process's own flags (--input-type, --import …) are about its own program.
  const worker = new threads.Worker(new URL('./wasm-worker.ts', import.meta.url), { execArgv: [] })
  worker.on('message', (message) => events.onMessage(message))
  worker.on('error', (error) => end((error as Error).message))
  worker.on('exit', () => end('it ended'))
  return {
    post: (message) => worker.postMessage(message),
    keepAlive: (wanted) => (wanted ? worker.ref() : worker.unref()),
    terminate() {
      asked = true
      void worker.terminate()
    },
  }
}
