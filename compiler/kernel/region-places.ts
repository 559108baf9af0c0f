// Where the values of a region lie while its steps are made: each root of the fusion has a place of its own, or the state that it stores
// to. A loop's carried values have one buffer each, which results take where the next instance reads them.

import type { Fusion } from '../passes/fuse.ts'
import { isByteBlocks, isVersion, stateOf } from '../passes/fusion-nodes.ts'
import type { Owner } from '../passes/post-dominators.ts'
import { is, type Node } from '../graph/types.ts'
import { type ByteBlocks, isByteFormat } from '../schedule/activation-blocks.ts'
import type { Place } from './build.ts'
import { plainFormat, stateFormat } from './small-kernels.ts'
import type { StepValues } from './step-values.ts'

/** A region with what is known of its nodes. */
export interface PlacedRegion {
  readonly owner: Owner
  readonly nodes: readonly Node[]
  readonly users: ReadonlyMap<Node, readonly Node[]>
  readonly fusion: Fusion
  /** The places of its parameters; the first `carried` take the results. */
  readonly params: readonly Place[]
  readonly carried: number
}

interface PlaceOptions {
  /** Results are written to the places of carried values by whoever computes them. */
  readonly inPlace: boolean
  /** How the target stores 8-bit activations, if it does. */
  readonly byteBlocks: ByteBlocks | undefined
}

interface LoopBuffers {
  readonly carried: readonly Place[]
  /** By group, what its instances yield beyond the carried values. */
  readonly kept: readonly (readonly Place[])[]
}

export class RegionPlaces {
  readonly #region: PlacedRegion
  readonly #values: StepValues
  readonly #options: PlaceOptions
  readonly #places = new Map<Node, Place>()
  readonly #copied = new Map<Node, Place>()
  /** Loops' operand buffers that a later step of this region must not be given for another use. */
  readonly #taken = new Set<string>()
  readonly #loopBuffers = new Map<Node, LoopBuffers>()

  /** Gives every root its place. */
  constructor(region: PlacedRegion, values: StepValues, options: PlaceOptions) {
    this.#region = region
    this.#values = values
    this.#options = options
    if (options.inPlace) this.#assignResults()
    for (const node of region.nodes) if (region.fusion.roots.has(node) && !this.#places.has(node)) this.#placeRoot(node)
  }

  /** Versions of states that were copied before the next store, and where to. */
  get copied(): ReadonlyMap<Node, Place> {
    return this.#copied
  }

  copy(version: Node): void {
    this.#copied.set(version, this.#values.value(version))
  }

  /** Where a node is read. */
  of(node: Node): Place | undefined {
    return this.#copied.get(node) ?? this.computed(node)
  }

  /** Where a node is written; a version that is copied, before that. */
  computed(node: Node): Place | undefined {
    const known = this.#places.get(node)
    if (known) return known
    const { dims, dtype } = node.type
    const format = plainFormat(dtype)
    if (is(node, 'argument')) return { source: { kind: 'argument', name: node.attributes.name }, dims, dtype, format }
    if (is(node, 'weight')) return { source: { kind: 'weight', path: node.attributes.path }, dims, dtype, format: 'f32' }
    if (is(node, 'constant')) return { source: { kind: 'constant', id: node.attributes.id }, dims, dtype, format }
    if (isVersion(node))
      return { source: { kind: 'state', path: stateOf(node).attributes.path }, dims, dtype, format: stateFormat(stateOf(node)) }
    if (is(node, 'param')) return this.#region.params[node.attributes.index]
    return undefined
  }

  loop(node: Node<'loop'>): LoopBuffers {
    return this.#loopBuffers.get(node)!
  }

  /** Whether it is the buffer of a carried value. */
  isCarried(id: string): boolean {
    const { params, carried } = this.#region
    return params.slice(0, carried).some((place) => place.source.kind === 'value' && place.source.id === id)
  }

  /** Carried results are written where the next instance reads them, if nothing needs the old value afterwards. */
  #assignResults(): void {
    const { owner, params, carried, fusion } = this.#region
    owner.results.slice(0, carried).forEach((node, i) => {
      if (!fusion.roots.has(node) || this.#places.has(node)) return
      if (isVersion(node) || node.op === 'loop' || node.op === 'topk' || node.op === 'quantise') return
      this.#places.set(node, params[i]!)
    })
  }

  #placeRoot(node: Node): void {
    if (isVersion(node)) return
    if (is(node, 'loop')) return this.#placeLoop(node)
    const { users, owner } = this.#region
    this.#places.set(node, this.#values.value(node, isByteBlocks(node, users, owner) ? this.#options.byteBlocks : undefined))
  }

  /** A carried value begins in the buffer of its first operand, if that is a value nobody else reads. */
  #placeLoop(node: Node<'loop'>): void {
    const { array, groups, order } = node.attributes
    const { users, owner } = this.#region
    const carried = node.operands.slice(0, node.attributes.carried).map((operand) => {
      const place = this.of(operand)
      const own =
        place?.source.kind === 'value' &&
        operand.op !== 'param' &&
        users.get(operand)!.length === 1 &&
        !owner.results.includes(operand) &&
        node.operands.filter((other) => other === operand).length === 1 &&
        !this.#taken.has(place.source.id) &&
        !isByteFormat(place.format)
      const buffer = own ? place : this.#values.value(operand)
      this.#taken.add((buffer.source as { id: string }).id)
      return buffer
    })
    const kept = groups.map(({ results }, group) => {
      const instances = [...order.keys()].filter((i) => order[i] === group)
      return results.slice(carried.length).map((result) => this.#values.kept(result, array, instances))
    })
    this.#loopBuffers.set(node, { carried, kept: kept.map((list) => list.map(({ body }) => body)) })
    const results = [...carried, ...order.flatMap((group, i) => kept[group]!.map(({ of }) => of.get(i)!))]
    if (results.length === 1) this.#places.set(node, results[0]!)
    else for (const user of users.get(node)!) if (is(user, 'result')) this.#places.set(user, results[user.attributes.index]!)
  }
}
