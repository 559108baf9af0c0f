// An entry as ordered steps: kernels and loops over them, with the values between. Every root of the fusion gets a place (a value
// of its own, or the state that it stores to); steps are ordered so that each reads what it must: values after their
// writer, a state's version after its store and before the next one. A loop's carried values live in one buffer each, which
// the body's last step overwrites where that is safe, else a copy step does. A version of a state that is read after
// the next store is copied first.

import type { Bounds } from '../../dsl/affine.ts'
import { fuse, fuseNothing } from '../passes/fuse.ts'
import { isLeaf, isVersion, valueOperands } from '../passes/fusion-nodes.ts'
import { type Owner, usersOf } from '../passes/post-dominators.ts'
import { is, type Graph, type Node } from '../graph/types.ts'
import { reachable, rootsOf } from '../graph/nodes.ts'
import { buildKernel, type KernelContext, type Place, type Root } from './build.ts'
import { orderItems } from './order.ts'
import { type Item, mustPrecede, oldVersionIn } from './precedence.ts'
import { distinct, type KernelProgram, type KernelStep, sourceKey } from './program.ts'
import { fillSource } from './launches.ts'
import { type PlacedRegion, RegionPlaces } from './region-places.ts'
import { StepValues } from './step-values.ts'
import type { ByteBlocks } from '../schedule/activation-blocks.ts'
import { copyKernel, isPointwiseUpdate, kernelStep } from './small-kernels.ts'

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
    const nodes = reachable(rootsOf(owner))
    const fusion = this.fuses ? fuse(owner, this.symbols, this.byteBlocks) : fuseNothing(owner)
    const placed = { owner, nodes, users: usersOf(nodes), fusion, params, carried }
    const undo = this.values.mark()
    for (const inPlace of [true, false]) {
      const steps = new RegionSteps(this, placed, inPlace, kept).build()
      if (steps) return steps
      undo()
    }
    throw new Error('internal: the steps of a region depend on each other in a circle')
  }
}

class RegionSteps {
  readonly #builder: StepBuilder
  readonly #region: PlacedRegion
  readonly #places: RegionPlaces
  readonly #kept: readonly Place[] | undefined

  constructor(builder: StepBuilder, region: PlacedRegion, inPlace: boolean, kept: readonly Place[] | undefined) {
    this.#builder = builder
    this.#region = region
    this.#places = new RegionPlaces(region, builder.values, { inPlace, byteBlocks: builder.byteBlocks })
    this.#kept = kept
  }

  build(): { steps: KernelStep[]; results: Place[] } | undefined {
    for (;;) {
      const items = this.#items()
      const region = { copied: this.#places.copied, placeOf: (node: Node) => this.#places.of(node) }
      const order = orderItems(items, (a, b) => mustPrecede(a, b, region))
      if (!('stuck' in order)) {
        const steps = order.sorted.map(({ item, after }): KernelStep => ({ ...item.emit(), dependsOn: after }) as KernelStep)
        return this.#unsafe
          ? undefined
          : { steps, results: this.#region.owner.results.map((node) => this.#results.get(node) ?? this.#places.of(node)!) }
      }
      const version = oldVersionIn(order.stuck, this.#places.copied)
      if (!version) return undefined
      this.#places.copy(version)
    }
  }

  #items(): Item[] {
    const items: Item[] = []
    const done = new Set<Node>()
    for (const node of this.#region.nodes) {
      if (!this.#region.fusion.roots.has(node) || done.has(node)) continue
      if (is(node, 'loop')) {
        items.push(...this.#loopItems(node))
        continue
      }
      const together = is(node, 'topk')
        ? this.#region.nodes.filter(
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
    for (const [version, place] of [...this.#places.copied]) items.push({ ...this.#copyItem(version, place, version.id), copies: version })
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
    return this.#region.fusion.roots.has(node) || isLeaf(node) || isVersion(node)
  }

  #kernelItem(nodes: readonly Node[]): Item {
    const roots = nodes.map((node): Root => ({ node, target: this.#places.computed(node)! }))
    const first = nodes[0]!
    const overwrites = roots.flatMap(({ target }) =>
      target.source.kind === 'value' && this.#places.isCarried(target.source.id) ? [target.source.id] : [],
    )
    const name = this.#builder.values.kernelName(first.op)
    const context: KernelContext = {
      symbols: this.#builder.symbols,
      placeOf: (node) => (this.#isInMemory(node) ? this.#places.of(node) : undefined),
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

  /** A kernel that copies what is at a node's place. */
  #copyItem(node: Node, target: Place, priority: number, from?: Place): Item {
    const source = from ?? this.#places.computed(node)!
    const overwrites = target.source.kind === 'value' && this.#places.isCarried(target.source.id) ? [target.source.id] : []
    const name = this.#builder.values.kernelName('copy')
    return {
      priority,
      reads: new Set([node]),
      makes: [],
      overwrites,
      emit: () => kernelStep(copyKernel(name, source, target, this.#builder.symbols)),
    }
  }

  #loopItems(node: Node<'loop'>): Item[] {
    const { array, groups, order, carried } = node.attributes
    const { carried: buffers, kept } = this.#places.loop(node)
    const items: Item[] = []
    buffers.forEach((buffer, i) => {
      const operand = node.operands[i]!
      const place = this.#places.of(operand)!
      if (sourceKey(place.source) === sourceKey(buffer.source)) return
      items.push({ ...this.#copyItem(operand, buffer, node.id), beforeLoop: node })
    })
    const params = node.operands.map((operand, i) => (i < carried ? buffers[i]! : this.#places.of(operand)!))
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
    const makes = [node, ...this.#region.users.get(node)!.filter((user) => is(user, 'result'))]
    items.push({ priority: node.id, reads: new Set(node.operands), makes, overwrites: [], emit })
    return items
  }

  /** Copies into the carried and kept buffers, and into values of their own for results that are not computed here. */
  #resultItems(): Item[] {
    const items: Item[] = []
    this.#results.clear()
    const last = (this.#region.nodes.at(-1)?.id ?? 0) + 1
    this.#region.owner.results.forEach((node, i) => {
      if (this.#kept && i >= this.#region.carried) {
        items.push(this.#copyItem(node, this.#kept[i - this.#region.carried]!, last, this.#places.of(node)))
        return
      }
      if (i >= this.#region.carried) {
        if (this.#places.of(node)?.source.kind === 'value') return
        const place = this.#builder.values.value(node)
        items.push(this.#copyItem(node, place, last))
        this.#results.set(node, place)
        return
      }
      const target = this.#region.params[i]!
      const source = this.#places.of(node)!
      if (sourceKey(source.source) === sourceKey(target.source)) return
      if (source.source.kind === 'value' && this.#places.isCarried(source.source.id)) {
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
