// A worker's own end of its channel, on every platform; and Node's worker_threads, reached without an import, so that bundles for
// browsers have nothing to resolve. Nothing here starts a worker: bundlers refuse workers that lead back to themselves.
import type * as NodeThreads from 'node:worker_threads'

/** What a worker's own code sees. */
export interface WorkerPort {
  post(message: unknown): void
  /** The first message from the other side. */
  first(): Promise<unknown>
}

/** Undefined where this is not Node. */
export const nodeThreads = (): typeof NodeThreads | undefined =>
  typeof process === 'undefined' ? undefined : (process.getBuiltinModule?.('node:worker_threads') as typeof NodeThreads | undefined)

/** The port of the worker that this code runs in. */
export function workerPort(): WorkerPort {
  const parent = nodeThreads()?.parentPort
  if (parent)
    return { post: (message) => parent.postMessage(message), first: () => new Promise((resolve) => parent.once('message', resolve)) }
  const scope = globalThis as unknown as {
    postMessage(message: unknown): void
    addEventListener(type: 'message', listener: (event: MessageEvent) => void, options: { once: true }): void
  }
  return {
    post: (message) => scope.postMessage(message),
    first: () => new Promise((resolve) => scope.addEventListener('message', ({ data }) => resolve(data), { once: true })),
  }
}
