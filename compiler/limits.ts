// How large a program may become inside the compiler. The language's own limits (dsl/limits.ts) bound what a text describes; these
// bound what fusion and the passes make of it, whose time and recursion grow with a graph's nodes and its longest chain. Models
// that unroll forty layers by hand stay below.

import { LlamacError } from '../runtime/error.ts'

interface Limit {
  readonly most: number
  readonly what: string
}

export const limits = {
  nodes: { most: 10_000, what: 'operations in all entries' },
  /** Passes recurse along operands. */
  chain: { most: 800, what: 'operations that wait for each other' },
  kernel: { most: 3_000, what: 'different values (long chains of concat and pad multiply them)' },
} as const satisfies Record<string, Limit>

/** E_PROGRAM_TOO_LARGE when `count` is beyond the limit. */
export function within(limit: keyof typeof limits, count: number, where: () => string): void {
  const { most, what } = limits[limit]
  if (count > most) throw new LlamacError('E_PROGRAM_TOO_LARGE', `${where()}: more than ${most.toLocaleString('en-US')} ${what}`)
}
