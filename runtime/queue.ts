// Work on one device in the order in which it was asked for, one piece at a time: sessions that run in parallel give the
// results they would give one after the other. Between pieces the host gets a turn, because a WASM call blocks its thread:
// without it no timer, no click and no AbortController would ever be heard during a generation.
import { checkAborted } from './error-codes.ts'

const hostTurnAfterMs = 8

export interface Queue {
  /** Runs the task when all before it have ended. E_ABORTED if the signal fired before it began. */
  run<T>(task: () => T | Promise<T>, signal?: AbortSignal): Promise<T>
  /** When everything that was asked for has ended. */
  idle(): Promise<void>
}

export function createQueue(): Queue {
  let last: Promise<unknown> = Promise.resolve()
  let turn = performance.now()

  async function perform<T>(before: Promise<unknown>, task: () => T | Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    await before
    if (performance.now() - turn > hostTurnAfterMs) {
      await hostTurn()
      turn = performance.now()
    }
    checkAborted(signal)
    return task()
  }

  return {
    run(task, signal) {
      const result = perform(last, task, signal)
      last = result.catch(() => {}) // a failure belongs to its caller alone
      return result
    },
    async idle() {
      let seen: Promise<unknown>
      do {
        seen = last
        await seen
      } while (seen !== last)
    },
  }
}

/** Resolves in a later turn of the event loop. MessageChannel has no 4 ms floor, unlike setTimeout in browsers. */
function hostTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(resolve)
      return
    }
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(0)
  })
}
