// The verifier. Invariants of every graph, before and after every pass:
//  1. operands have smaller ids than their users, in results, states and regions alike;
//  2. every type is what `infer` of the op gives for the operands' types (declared types where the op needs one);
//  3. a `param` occurs only inside its own region, and an `argument` or a state without `[*]` only outside regions: regions are
//     closed but for literals, sizes, iotas, constants, weights and the states of their own loop;
//  4. region ids are unique, a parameter's index is its place, a region has one owner;
//  5. a composite stores nothing; a loop body stores only to paths through its array; the graph lists each stored path;
//  6. `store` and `scatter` take a version of a state (state, store or scatter) as first operand, a `state` of that path at the
//     end of the chain, and two loops do not store to the same path;
//  7. a `result` reads a composite or loop with more than one result, inside its list, with that type;
//  8. every constant, and every argument, is declared by the graph with the node's type; weights and states of one path have
//     one type within a region; symbols in types and attributes are symbols of the entry.

import type { Affine } from '../../dsl/affine.ts'
import { opDef } from '../ops/index.ts'
import { sameType, showType } from '../ops/shape.ts'
import { reachable, regionsOf, rootsOf } from './nodes.ts'
import { is, type Graph, type Node, type Region, type TensorType } from './types.ts'

type Report = (node: Node | undefined, message: string) => void

function symbolsIn(value: unknown, found: Set<string>): void {
  if (typeof value !== 'object' || value === null) return
  if ('terms' in value && 'const' in value) for (const [name] of (value as Affine).terms) found.add(name)
  else if (!('params' in value)) for (const item of Object.values(value)) symbolsIn(item, found)
}

/** The path of the state whose version a node is. */
function versionOf(node: Node): string | undefined {
  if (is(node, 'state')) return node.attributes.path
  return node.op === 'store' || node.op === 'scatter' ? versionOf(node.operands[0]!) : undefined
}

function checkTypes(node: Node, report: Report): void {
  let inferred: TensorType | readonly TensorType[]
  try {
    inferred = opDef(node.op).infer(
      node.operands.map((operand) => operand.type),
      node.attributes,
      node.type,
    )
  } catch (error) {
    report(node, (error as Error).message.replace(/^internal: /, ''))
    return
  }
  const types = 'dtype' in inferred ? [inferred] : inferred
  const own = 'dtype' in inferred ? [node.type] : (node.types ?? [])
  if (types.length !== own.length || types.some((type, i) => !sameType(type, own[i]!))) {
    report(node, `has type ${own.map(showType)}, its operands give ${types.map(showType)}`)
  }
}

class Verifier {
  readonly #graph: Graph
  readonly #report: Report
  readonly #symbols: ReadonlySet<string>
  readonly #regions = new Set<number>()

  constructor(graph: Graph, report: Report) {
    this.#graph = graph
    this.#report = report
    this.#symbols = new Set(graph.symbols.map((symbol) => symbol.name))
  }

  /** `arrays`: the loops around, outermost first. `region`: undefined for the entry itself. */
  owner(owner: Pick<Region, 'results' | 'states'>, region: Region | undefined, arrays: readonly string[]): void {
    const types = new Map<string, TensorType>()
    const loops = new Map<string, Node>()
    for (const node of reachable(rootsOf(owner))) {
      for (const operand of node.operands) if (operand.id >= node.id) this.#report(node, `uses the later value %${operand.id}`)
      checkTypes(node, this.#report)
      this.#leaf(node, region, arrays, types)
      this.#attributes(node)
      for (const inner of regionsOf(node)) {
        const nested = is(node, 'loop') ? [...arrays, node.attributes.array] : arrays
        this.#region(inner, node, nested)
        for (const path of inner.states.keys()) {
          const other = loops.get(path)
          if (other && other !== node) this.#report(node, `stores to ${path}, as another loop does`)
          loops.set(path, node)
          if (owner.states.get(path) !== node) this.#report(node, `stores to ${path}, which its owner does not list`)
        }
      }
    }
    for (const [path, node] of owner.states) {
      const fits = node.op === 'loop' ? loops.get(path) === node : versionOf(node) === path && node.op !== 'state'
      if (!fits) this.#report(node, `is not a stored version of ${path}`)
    }
  }

  #region(region: Region, node: Node, arrays: readonly string[]): void {
    if (this.#regions.has(region.id)) this.#report(node, `has a region that another node owns`)
    this.#regions.add(region.id)
    if (node.op === 'composite' && region.states.size > 0) this.#report(node, 'is a composite that stores')
    const array = arrays[arrays.length - 1]
    for (const path of region.states.keys()) {
      if (!path.startsWith(`${array}[*]`)) this.#report(node, `stores to ${path}, which is not inside ${array}`)
    }
    for (const result of region.results) if (result.id >= node.id) this.#report(node, `has a result with a later id`)
    this.owner(region, region, arrays)
  }

  #leaf(node: Node, region: Region | undefined, arrays: readonly string[], types: Map<string, TensorType>): void {
    if (is(node, 'param')) {
      if (!region || region.id !== node.attributes.region || region.params[node.attributes.index] !== node) {
        this.#report(node, 'is a parameter of another region')
      }
    } else if (is(node, 'argument')) {
      if (region) this.#report(node, 'is an argument inside a region')
      const known = this.#graph.arguments.find((argument) => argument.name === node.attributes.name)
      if (!known || !sameType(known.type, node.type)) this.#report(node, `is not the entry's argument ${node.attributes.name}`)
    } else if (is(node, 'constant')) {
      const known = this.#graph.constants.get(node.attributes.id)
      if (
        !known ||
        known.dtype !== node.type.dtype ||
        !node.type.dims.every((dim, i) => dim.terms.length === 0 && dim.const === known.dims[i])
      ) {
        this.#report(node, `does not match the constant ${node.attributes.id}`)
      }
    } else if (is(node, 'weight') || is(node, 'state')) {
      const { path } = node.attributes
      const stars = arrays.some((array) => path.startsWith(`${array}[*]`))
      if (path.includes('[*]') && !stars) this.#report(node, `${path} is read outside its loop`)
      if (node.op === 'state' && region && !stars) this.#report(node, `the state ${path} is read inside a region without being handed in`)
      const key = `${node.op} ${path}`
      const known = types.get(key)
      if (known && !sameType(known, node.type)) this.#report(node, `reads ${path} with two types`)
      types.set(key, node.type)
    }
  }

  #attributes(node: Node): void {
    if (is(node, 'result')) {
      const types = node.operands[0]!.types
      const type = types?.[node.attributes.index]
      if (!types || types.length < 2 || !type || !sameType(type, node.type)) this.#report(node, 'does not read one of several results')
    }
    if ((node.op === 'store' || node.op === 'scatter') && versionOf(node) === undefined)
      this.#report(node, 'stores to something that is no state')
    const found = new Set<string>()
    symbolsIn(node.attributes, found)
    symbolsIn(node.type, found)
    for (const name of found) if (!this.#symbols.has(name)) this.#report(node, `uses the unknown symbol ${name}`)
  }
}

/** Everything that is wrong with a graph, as text; empty for a good one. */
export function verifyGraph(graph: Graph): readonly string[] {
  const faults: string[] = []
  const report: Report = (node, message) => faults.push(node ? `%${node.id} ${node.op}: ${message}` : message)
  new Verifier(graph, report).owner(graph, undefined, [])
  return faults
}

/** Stops with an internal fault that names `after` (a pass) and the first faults. */
export function expectValid(graph: Graph, after: string): void {
  const faults = verifyGraph(graph)
  if (faults.length > 0) throw new Error(`internal: graph ${graph.entry} after ${after}: ${faults.slice(0, 5).join('; ')}`)
}
