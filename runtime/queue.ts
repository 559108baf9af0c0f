// Work on one device in the order in which it was asked for, one piece at a time: sessions that run in parallel give the
// results they would give one after the other. Between pieces the host gets a turn, because a WASM call blocks its thread:
// without it no timer, no click and no AbortController would ever be heard during a generation.
import { checkAborted } from './error-codes.ts'
import type { Soon } from './soon.ts'

/** A frame of a page: what else waits is not delayed by more than that and a piece of work. */
const hostTurnAfterMs = 16

export interface Queue {
  /**
   * Runs the task when all before it have ended; at once where none is under way and the host had its turn. E_ABORTED if the signal
   * fired before it began. Fails as a rejection or an exception.
   */
  run<T>(task: () => Soon<T>, signal?: AbortSignal): Soon<T>
  /** When everything that was asked for has ended. */
  idle(): Promise<void>
}

export function createQueue(): Queue {
  /** The end of what was asked for last; undefined when all has ended. */
  let last: Promise<void> | undefined
  let turn = performance.now()

  const turnIsDue = (): boolean => performance.now() - turn > hostTurnAfterMs

  async function perform<T>(before: Promise<void> | undefined, task: () => Soon<T>, signal: AbortSignal | undefined): Promise<T> {
    await before
    if (turnIsDue()) {
      await hostTurn()
      turn = performance.now()
    }
    checkAborted(signal)
    return task()
  }

  function follow<T>(result: Promise<T>): Promise<T> {
    const ended = (): void => {
      if (last === end) last = undefined
    }
    const end = result.then(ended, ended) // a failure belongs to its caller alone
    last = end
    return result
  }

  return {
    run(task, signal) {
      if (last || turnIsDue()) return follow(perform(last, task, signal))
      checkAborted(signal)
      const result = task()
      return result instanceof Promise ? follow(result) : result
    },
    async idle() {
      while (last) await last
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
