// Which step must run before which: values are read after their writer, a state's version after its store and before the next one, a
// carried value before the step that overwrites it. Where that is a circle, a version that is read too late is copied first.

import type { Node } from '../graph/types.ts'
import type { Place } from './build.ts'
import type { KernelStep } from './program.ts'

/** A step before it is ordered. `reads` are nodes in memory, `priority` the place in program order. */
export interface Item {
  readonly priority: number
  readonly reads: ReadonlySet<Node>
  readonly makes: readonly Node[]
  /** Carried buffers that it overwrites. */
  readonly overwrites: readonly string[]
  /** The version of a state that it copies. */
  readonly copies?: Node
  /** The loop whose carried buffer it fills. */
  readonly beforeLoop?: Node
  /** The step that leaves for it what it reads. */
  readonly after?: Item
  emit(): Omit<KernelStep, 'dependsOn'>
}

export interface OrderedRegion {
  /** Versions that are copied before they are stored over. */
  readonly copied: ReadonlyMap<Node, Place>
  placeOf(node: Node): Place | undefined
}

const isStore = ({ op }: Node): boolean => op === 'store' || op === 'scatter'

/** Whether `a` must run before `b`. */
export function mustPrecede(a: Item, b: Item, { copied, placeOf }: OrderedRegion): boolean {
  if (b.after === a) return true
  if (a.beforeLoop && b.makes.includes(a.beforeLoop)) return true
  for (const made of a.makes) if (b.reads.has(made)) return true
  if (a !== b && a.copies && copied.has(a.copies) && b.reads.has(a.copies)) return true
  // Readers of a state's version come before the store that replaces it.
  for (const made of b.makes) {
    if (!isStore(made) || a === b) continue
    const old = made.operands[0]!
    if (a.reads.has(old) && !a.makes.includes(made) && (!copied.has(old) || a.copies === old)) return true
  }
  // Readers of a carried value come before the step that overwrites it.
  for (const id of b.overwrites) {
    for (const read of a.reads) {
      const place = placeOf(read)
      if (read.op === 'param' && place?.source.kind === 'value' && place.source.id === id) return true
    }
  }
  return false
}

/** A version in the circle whose readers wait for the next store. */
export function oldVersionIn(stuck: readonly Item[], copied: ReadonlyMap<Node, Place>): Node | undefined {
  for (const item of stuck) {
    for (const made of item.makes) {
      if (!isStore(made)) continue
      const old = made.operands[0]!
      const isRead = stuck.some((other) => other !== item && other.reads.has(old) && !(other.makes[0] && isStore(other.makes[0])))
      if (isRead && !copied.has(old)) return old
    }
  }
  return undefined
}
