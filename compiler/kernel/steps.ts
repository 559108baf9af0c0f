// An entry as ordered steps: kernels and loops over them, with the values between. Every root of the fusion gets a place (a value
// of its own, or the state that it stores to); steps are ordered so that each reads what it must: values after their
// writer, a state's version after its store and before the next one. A loop's carried values live in one buffer each, which
// the body's last step overwrites where that is safe, else a copy step does. A version of a state that is read after
// the next store is copied first.

import type { Bounds } from '../../dsl/affine.ts'
import { fuse, fuseNothing, isByteBlocks, isLeaf, isVersion, stateOf, valueOperands, type Fusion } from '../passes/fuse.ts'
import { type Owner, usersOf } from '../passes/post-dominators.ts'
import { is, type Graph, type Node } from '../graph/types.ts'
import { reachable, rootsOf } from '../graph/nodes.ts'
import { buildKernel, type KernelContext, type Place, type Root } from './build.ts'
import { orderItems } from './order.ts'
import { type Item, mustPrecede, oldVersionIn } from './precedence.ts'
import { distinct, type KernelProgram, type KernelStep, sourceKey } from './program.ts'
import { fillSource } from './launches.ts'
import { StepValues } from './step-values.ts'
import { type ByteBlocks, isByteFormat } from '../schedule/activation-blocks.ts'
import { copyKernel, isPointwiseUpdate, kernelStep, plainFormat, stateFormat } from './small-kernels.ts'

export { distinct, sourceKey } from './program.ts'
export type { KernelProgram, KernelStep, ValueInfo } from './program.ts'

/** Bounds of an entry's symbols. */
export const boundsOf = (symbols: Graph['symbols']): Bounds => new Map(symbols.map(({ name, min, max }) => [name, { min, max }]))

/** Makes the steps of an entry's regions. */
class StepBuilder {
  readonly values: StepValues
  readonly symbols: Bounds
  readonly fuses: boolean
  /** How the target stores 8-bit activations, if it does. */
  readonly byteBlocks: ByteBlocks | undefined

  constructor(values: StepValues, symbols: Bounds, fuses: boolean, byteBlocks: ByteBlocks | undefined) {
    this.values = values
    this.symbols = symbols
    this.fuses = fuses
    this.byteBlocks = byteBlocks
  }

  /**
   * The steps of a graph or loop body. `params` are the places of its parameters; the first `carried` take the results. What
   * a loop body yields beyond those is copied to `kept`.
   */
  region(owner: Owner, params: readonly Place[], carried: number, kept?: readonly Place[]): { steps: KernelStep[]; results: Place[] } {
    const undo = this.values.mark()
    for (const inPlace of [true, false]) {
      const steps = new RegionSteps(this, owner, params, carried, inPlace, kept).build()
      if (steps) return steps
      undo()
    }
    throw new Error('internal: the steps of a region depend on each other in a circle')
  }
}

class RegionSteps {
  readonly #builder: StepBuilder
  readonly #owner: Owner
  readonly #params: readonly Place[]
  readonly #carried: number
  readonly #inPlace: boolean
  readonly #kept: readonly Place[] | undefined
  readonly #fusion: Fusion
  readonly #nodes: readonly Node[]
  readonly #users: ReadonlyMap<Node, readonly Node[]>
  readonly #places = new Map<Node, Place>()
  readonly #copied = new Map<Node, Place>()
  /** Loops' operand buffers that a later step of this region must not be given for another use. */
  readonly #taken = new Set<string>()

  constructor(
    builder: StepBuilder,
    owner: Owner,
    params: readonly Place[],
    carried: number,
    inPlace: boolean,
    kept: readonly Place[] | undefined,
  ) {
    this.#builder = builder
    this.#owner = owner
    this.#params = params
    this.#carried = carried
    this.#inPlace = inPlace
    this.#kept = kept
    this.#fusion = builder.fuses ? fuse(owner, builder.symbols, builder.byteBlocks) : fuseNothing(owner)
    this.#nodes = reachable(rootsOf(owner))
    this.#users = usersOf(this.#nodes)
  }

  build(): { steps: KernelStep[]; results: Place[] } | undefined {
    this.#assignResults()
    for (const node of this.#nodes) if (this.#fusion.roots.has(node) && !this.#places.has(node)) this.#placeRoot(node)
    for (;;) {
      const items = this.#items()
      const region = { copied: this.#copied, placeOf: (node: Node) => this.#placeOf(node) }
      const order = orderItems(items, (a, b) => mustPrecede(a, b, region))
      if (!('stuck' in order)) {
        const steps = order.sorted.map(({ item, after }): KernelStep => ({ ...item.emit(), dependsOn: after }) as KernelStep)
        return this.#unsafe
          ? undefined
          : { steps, results: this.#owner.results.map((node) => this.#results.get(node) ?? this.#placeOf(node)!) }
      }
      const version = oldVersionIn(order.stuck, this.#copied)
      if (!version) return undefined
      this.#copied.set(version, this.#builder.values.value(version))
    }
  }

  // ---- places

  #placeOf(node: Node): Place | undefined {
    const copied = this.#copied.get(node)
    if (copied) return copied
    const known = this.#places.get(node)
    if (known) return known
    const { dims, dtype } = node.type
    const format = plainFormat(dtype)
    if (is(node, 'argument')) return { source: { kind: 'argument', name: node.attributes.name }, dims, dtype, format }
    if (is(node, 'weight')) return { source: { kind: 'weight', path: node.attributes.path }, dims, dtype, format: 'f32' }
    if (is(node, 'constant')) return { source: { kind: 'constant', id: node.attributes.id }, dims, dtype, format }
    if (isVersion(node))
      return { source: { kind: 'state', path: stateOf(node).attributes.path }, dims, dtype, format: stateFormat(stateOf(node)) }
    if (is(node, 'param')) return this.#params[node.attributes.index]
    return undefined
  }

  /** Carried results are written where the next instance reads them, if nothing needs the old value afterwards. */
  #assignResults(): void {
    this.#owner.results.slice(0, this.#carried).forEach((node, i) => {
      if (!this.#inPlace || !this.#fusion.roots.has(node) || this.#places.has(node)) return
      if (isVersion(node) || node.op === 'loop' || node.op === 'topk' || node.op === 'quantise') return
      this.#places.set(node, this.#params[i]!)
    })
  }

  #placeRoot(node: Node): void {
    if (isVersion(node)) return
    if (is(node, 'loop')) return this.#placeLoop(node)
    const { values, byteBlocks } = this.#builder
    this.#places.set(node, values.value(node, isByteBlocks(node, this.#users, this.#owner) ? byteBlocks : undefined))
  }

  /** A carried value begins in the buffer of its first operand, if that is a value nobody else reads. */
  #placeLoop(node: Node<'loop'>): void {
    const { array, groups, order } = node.attributes
    const carried = node.operands.slice(0, node.attributes.carried).map((operand) => {
      const place = this.#placeOf(operand)
      const own =
        place?.source.kind === 'value' &&
        operand.op !== 'param' &&
        this.#users.get(operand)!.length === 1 &&
        !this.#owner.results.includes(operand) &&
        node.operands.filter((other) => other === operand).length === 1 &&
        !this.#taken.has(place.source.id) &&
        !isByteFormat(place.format)
      const buffer = own ? place : this.#builder.values.value(operand)
      this.#taken.add((buffer.source as { id: string }).id)
      return buffer
    })
    const kept = groups.map(({ results }, group) => {
      const instances = [...order.keys()].filter((i) => order[i] === group)
      return results.slice(carried.length).map((result) => this.#builder.values.kept(result, array, instances))
    })
    this.#loopBuffers.set(node, { carried, kept: kept.map((list) => list.map(({ body }) => body)) })
    const results = [...carried, ...order.flatMap((group, i) => kept[group]!.map(({ of }) => of.get(i)!))]
    if (results.length === 1) this.#places.set(node, results[0]!)
    else for (const user of this.#users.get(node)!) if (is(user, 'result')) this.#places.set(user, results[user.attributes.index]!)
  }

  readonly #loopBuffers = new Map<Node, { readonly carried: readonly Place[]; readonly kept: readonly (readonly Place[])[] }>()

  // ---- items

  #items(): Item[] {
    const items: Item[] = []
    const done = new Set<Node>()
    for (const node of this.#nodes) {
      if (!this.#fusion.roots.has(node) || done.has(node)) continue
      if (is(node, 'loop')) {
        items.push(...this.#loopItems(node))
        continue
      }
      const together = is(node, 'topk')
        ? this.#nodes.filter(
            (other): other is Node<'topk'> =>
              is(other, 'topk') &&
              other.operands[0] === node.operands[0] &&
              other.attributes.axis === node.attributes.axis &&
              other.attributes.k === node.attributes.k,
          )
        : [node]
      for (const each of together) done.add(each)
      items.push(this.#kernelItem(together))
    }
    for (const [version, place] of [...this.#copied]) items.push({ ...this.#copyItem(version, place, version.id), copies: version })
    items.push(...this.#resultItems())
    return items
  }

  /** Nodes in memory that a kernel with these roots reads, and those that it computes itself, roots first. */
  #reachOf(roots: readonly Node[]): { readonly reads: Set<Node>; readonly computes: readonly Node[] } {
    const reads = new Set<Node>()
    const seen = new Set<Node>(roots)
    const visit = (node: Node): void => {
      if (seen.has(node)) return
      seen.add(node)
      if (this.#isInMemory(node)) reads.add(node)
      else for (const operand of valueOperands(node)) visit(operand)
    }
    for (const root of roots) {
      for (const operand of valueOperands(root)) visit(operand)
      // A store comes after the version that it changes.
      if (root.op === 'store' || root.op === 'scatter') reads.add(root.operands[0]!)
    }
    return { reads, computes: [...seen].filter((node) => !this.#isInMemory(node) || roots.includes(node)) }
  }

  #isInMemory(node: Node): boolean {
    return this.#fusion.roots.has(node) || isLeaf(node) || isVersion(node)
  }

  #kernelItem(nodes: readonly Node[]): Item {
    const roots = nodes.map((node): Root => ({ node, target: this.#plainPlace(node) }))
    const first = nodes[0]!
    const overwrites = roots.flatMap(({ target }) =>
      target.source.kind === 'value' && this.#isParam(target.source.id) ? [target.source.id] : [],
    )
    const name = this.#builder.values.kernelName(first.op)
    const context: KernelContext = {
      symbols: this.#builder.symbols,
      placeOf: (node) => (this.#isInMemory(node) ? this.#placeOf(node) : undefined),
    }
    const { reads, computes } = this.#reachOf(nodes)
    return {
      priority: first.id,
      reads,
      makes: nodes,
      overwrites,
      emit: () => {
        const kernel = buildKernel(name, roots, context)
        if (!isPointwiseUpdate(kernel)) this.#unsafe = true
        return kernelStep({ ...kernel, nodes: computes.map((node) => node.id) })
      },
    }
  }

  /** A kernel would overwrite a carried value that it still reads elsewhere. */
  #unsafe = false

  #isParam(id: string): boolean {
    return this.#params.slice(0, this.#carried).some((place) => place.source.kind === 'value' && place.source.id === id)
  }

  /** A kernel that copies what is at a node's place. */
  #copyItem(node: Node, target: Place, priority: number, from?: Place): Item {
    const source = from ?? this.#plainPlace(node)
    const overwrites = target.source.kind === 'value' && this.#isParam(target.source.id) ? [target.source.id] : []
    const name = this.#builder.values.kernelName('copy')
    return {
      priority,
      reads: new Set([node]),
      makes: [],
      overwrites,
      emit: () => kernelStep(copyKernel(name, source, target, this.#builder.symbols)),
    }
  }

  #plainPlace(node: Node): Place {
    const copied = this.#copied.get(node)
    this.#copied.delete(node)
    const place = this.#placeOf(node)!
    if (copied) this.#copied.set(node, copied)
    return place
  }

  #loopItems(node: Node<'loop'>): Item[] {
    const { array, groups, order, carried } = node.attributes
    const { carried: buffers, kept } = this.#loopBuffers.get(node)!
    const items: Item[] = []
    buffers.forEach((buffer, i) => {
      const operand = node.operands[i]!
      const place = this.#placeOf(operand)!
      if (sourceKey(place.source) === sourceKey(buffer.source)) return
      items.push({ ...this.#copyItem(operand, buffer, node.id), beforeLoop: node })
    })
    const params = node.operands.map((operand, i) => (i < carried ? buffers[i]! : this.#placeOf(operand)!))
    const emit = (): Omit<KernelStep, 'dependsOn'> => {
      const bodies = groups.map((region, group) => this.#builder.region(region, params, carried, kept[group]!).steps)
      const steps = bodies.flat()
      const left = order.flatMap((group, index) => kept[group]!.map(({ source }) => fillSource(source, [{ array, index }])))
      return {
        kind: 'loop',
        array,
        order,
        groups: bodies,
        carried: buffers.map(({ source }) => (source as { id: string }).id),
        kept: left.map((source) => (source as { id: string }).id),
        reads: distinct([...buffers.map(({ source }) => source), ...steps.flatMap((step) => step.reads)]),
        writes: distinct([...buffers.map(({ source }) => source), ...steps.flatMap((step) => step.writes), ...left]),
      } as Omit<KernelStep, 'dependsOn'>
    }
    const makes = [node, ...this.#users.get(node)!.filter((user) => is(user, 'result'))]
    items.push({ priority: node.id, reads: new Set(node.operands), makes, overwrites: [], emit })
    return items
  }

  /** Copies into the carried and kept buffers, and into values of their own for results that are not computed here. */
  #resultItems(): Item[] {
    const items: Item[] = []
    this.#results.clear()
    const last = (this.#nodes.at(-1)?.id ?? 0) + 1
    this.#owner.results.forEach((node, i) => {
      if (this.#kept && i >= this.#carried) {
        items.push(this.#copyItem(node, this.#kept[i - this.#carried]!, last, this.#placeOf(node)))
        return
      }
      if (i >= this.#carried) {
        if (this.#placeOf(node)?.source.kind === 'value') return
        const place = this.#builder.values.value(node)
        items.push(this.#copyItem(node, place, last))
        this.#results.set(node, place)
        return
      }
      const target = this.#params[i]!
      const source = this.#placeOf(node)!
      if (sourceKey(source.source) === sourceKey(target.source)) return
      if (source.source.kind === 'value' && this.#isParam(source.source.id)) {
        // Another carried value: it may be overwritten before it is copied, so it goes by way of a value of its own.
        const aside = this.#builder.values.value(node)
        const first = this.#copyItem(node, aside, -1)
        items.push(first, { ...this.#copyItem(node, target, last, aside), reads: new Set(), after: first })
      } else items.push(this.#copyItem(node, target, last, source))
    })
    return items
  }

  /** Results that are copies of what lies elsewhere. */
  readonly #results = new Map<Node, Place>()
}

/**
 * Orders an entry's work into kernels and loops. The graph must have no composites. `fuse: false` gives every value a kernel;
 * `byteBlocks`: how activations are stored that are rounded to 8 bits; without it as f32.
 */
export function buildKernels(graph: Graph, options: { readonly fuse?: boolean; readonly byteBlocks?: ByteBlocks } = {}): KernelProgram {
  const builder = new StepBuilder(new StepValues(graph.entry), boundsOf(graph.symbols), options.fuse ?? true, options.byteBlocks)
  const { steps, results } = builder.region(graph, [], 0)
  const used = new Set(
    [...steps.flatMap((step) => [...step.reads, ...step.writes]), ...results.map((place) => place.source)].map(sourceKey),
  )
  const values = new Map([...builder.values.all].filter(([id]) => used.has(`value:${id}`)))
  return { entry: graph.entry, symbols: builder.symbols, steps, values, results: results.map((place) => place.source) }
}
