// The scopes of a graph while it is built: the entry, loop bodies, composite bodies, each in the one before. A value of an outer scope
// that is used inside becomes a parameter of every scope between ("capture"), so regions are closed. Which scope a value belongs
// to is told at each use of the factory, because interned nodes without context (a weight, `iota(n)`) are shared between regions.

import type { NodeFactory } from './nodes.ts'
import { fillPath } from './paths.ts'
import type { Node, TensorType } from './types.ts'

/** Belongs to no scope: literals, sizes, iota, weights and what is made of them alone. */
const nowhere = -1

export interface Scope {
  readonly kind: 'entry' | 'loop' | 'composite'
  readonly region: number
  /** Loops: `layers` and an instance of the group that is being built, for the types of `layers[*]` paths. */
  readonly array?: string
  readonly instance?: number
  /** Outer values by parameter index; the groups of one loop share the list. */
  readonly captured: Map<Node, number>
  readonly params: Map<number, Node<'param'>>
  readonly versions: Map<string, Node>
  /** Values by path that become results, in the order of their calls. */
  readonly tapped: Tapped[]
}

export interface Tapped {
  /** With `[*]` in a loop's body. */
  readonly path: string
  readonly node: Node
  readonly labels: readonly string[]
}

const newScope = (kind: Scope['kind'], region: number): Scope => ({
  kind,
  region,
  captured: new Map(),
  params: new Map(),
  versions: new Map(),
  tapped: [],
})

/** A loop's body: the groups of one loop share what they capture. */
type LoopBody = Required<Pick<Scope, 'array' | 'instance' | 'captured'>>

export class Scopes {
  readonly #factory: NodeFactory
  readonly #list: Scope[] = [newScope('entry', 0)]
  readonly #home = new Map<Node, number>()

  constructor(factory: NodeFactory) {
    this.#factory = factory
  }

  /** How many scopes are around the innermost one. */
  get depth(): number {
    return this.#list.length - 1
  }

  /** The entry's is number 0. */
  at(depth: number): Scope {
    return this.#list[depth]!
  }

  get innermost(): Scope {
    return this.#list.at(-1)!
  }

  /** What `build` makes in a scope of its own, which is the innermost one until it returns. */
  inside<T>(kind: 'composite' | 'loop', body: Partial<LoopBody>, build: (scope: Scope) => T): { readonly scope: Scope; readonly built: T } {
    const scope: Scope = { ...newScope(kind, this.#factory.region()), ...body }
    this.#list.push(scope)
    const built = build(scope)
    this.#list.pop()
    return { scope, built }
  }

  /** Says where a node belongs, for those that do not follow their operands. */
  place<T extends Node>(node: T, depth: number): T {
    this.#home.set(node, depth)
    return node
  }

  /** A node belongs to the innermost scope of its operands. */
  placeBy(node: Node, operands: readonly Node[]): void {
    this.#home.set(node, Math.max(nowhere, ...operands.map((operand) => this.homeOf(operand))))
  }

  homeOf(node: Node): number {
    return this.#home.get(node) ?? nowhere
  }

  param(scope: Scope, index: number, type: TensorType): Node<'param'> {
    const known = scope.params.get(index)
    if (known) return known
    const node = this.place(this.#factory.param(scope.region, index, type), this.#list.indexOf(scope))
    scope.params.set(index, node)
    return node
  }

  /** The node as the innermost scope sees it: through parameters, if it belongs to an outer one. */
  use(node: Node): Node {
    const home = this.homeOf(node)
    const here = this.depth
    if (home > here) throw new Error(`internal: a value of an inner region is used outside (${node.op})`)
    if (home === nowhere || home === here) return node
    let inner = node
    for (const scope of this.#list.slice(home + 1)) {
      const index = scope.captured.get(inner) ?? this.#firstFree(scope)
      scope.captured.set(inner, index)
      inner = this.param(scope, index, inner.type)
    }
    return inner
  }

  /** Captured values come after the given parameters; every given one is made before the body runs. */
  #firstFree(scope: Scope): number {
    let next = Math.max(scope.params.size === 0 ? 0 : Math.max(...scope.params.keys()) + 1, 0)
    for (const index of scope.captured.values()) next = Math.max(next, index + 1)
    return next
  }

  /** Outer values that the scope has taken, in the order of their parameters, the first of which is number `from`. */
  captured(scope: Pick<Scope, 'captured'>, from: number): readonly Node[] {
    const list = [...scope.captured].sort(([, a], [, b]) => a - b)
    if (list.some(([, index], i) => index !== from + i)) throw new Error('internal: captured values are not numbered in order')
    return list.map(([node]) => node)
  }

  /** `layers[*].attn.wq` → the path in the instance that is being built. */
  concrete(path: string): string {
    return this.#list.reduce(
      (filled, { kind, array, instance }) =>
        kind === 'loop' ? fillPath(filled, [{ array: this.#instancePath(array!), index: instance! }]) : filled,
      path,
    )
  }

  #instancePath(array: string): string {
    return array.includes('[*]') ? this.concrete(array) : array
  }

  /** The innermost loop over the array that a path runs through. */
  loopOf(path: string): Scope | undefined {
    return this.#list.findLast((scope) => scope.kind === 'loop' && path.startsWith(`${scope.array}[*]`))
  }

  /** The scope whose versions count for a state: the innermost loop that its path runs through, else the entry. */
  ofState(path: string): number {
    const loop = this.loopOf(path)
    return loop ? this.#list.indexOf(loop) : 0
  }
}
