// The page's half of a remote model: calls methods of objects that stay here and are known by number; number 0 can load. Objects
// that live (models, sessions, generations) are kept and answered by their number, everything else is sent as it is.

import { LlamacError, load, type Model } from '../../../runtime/index.ts'

export interface Call {
  readonly target: number
  readonly method: string
  readonly args: readonly unknown[]
}

export type Answer =
  | { readonly value: unknown }
  | { readonly kept: number }
  | { readonly error: { readonly name: string; readonly message: string; readonly code?: string } }

// biome-ignore lint/suspicious/noExplicitAny: methods are looked up by name
type Methods = Record<string, (...args: any[]) => unknown>

interface Kept {
  readonly object: object
  /** The call's target that gave it: the model of a session, the session of a generation. */
  readonly owner: number
}

let count = 0
const kept = new Map<number, Kept>()

function keep(object: object, owner: number): number {
  kept.set(++count, { object, owner })
  return count
}

const root = {
  load,
  device: (model: number) => (kept.get(model)!.object as Model).device,
  /** Disposes of a model, and forgets it and what came from it. */
  async forget(model: number) {
    await (kept.get(model)!.object as Model).dispose()
    const gone = new Set([model])
    for (const [number, { owner }] of kept) if (gone.has(owner)) gone.add(number)
    for (const number of gone) kept.delete(number)
  },
}

const lives = (value: unknown): value is object => typeof value === 'object' && value !== null && ('dispose' in value || 'next' in value)

/** Functions cannot be sent: coins that were drawn elsewhere stand for `random`. */
function withCoins(argument: unknown): unknown {
  if (typeof argument !== 'object' || argument === null || !('coins' in argument)) return argument
  const coins = argument.coins as readonly number[]
  let drawn = 0
  const random = (): number => coins[drawn++] ?? fault('more coins are drawn than were sent')
  return { ...argument, random }
}

export async function invoke({ target, method, args }: Call): Promise<Answer> {
  try {
    const object = (target === 0 ? root : kept.get(target)!.object) as Methods
    const value = await object[method]!(...args.map(withCoins))
    return lives(value) ? { kept: keep(value, target) } : { value }
  } catch (error) {
    const { name, message } = error as Error
    return { error: { name, message, ...(error instanceof LlamacError ? { code: error.code } : {}) } }
  }
}

function fault(message: string): never {
  throw new Error(message)
}
