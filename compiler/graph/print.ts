// The textual form of a graph, which parse.ts reads back. One line per node, operands first; numbers are given in the order of
// printing, so the text does not depend on node ids. Attributes are printed by kind, not by op: numbers (`inf`), strings, lists,
// records, `<2*seq + 1>` for affine expressions and indented blocks for regions. Places in the source are not printed.
// Constants of at most 64 values are written out; larger ones by id only, and the reader must be given their data.

import { show, type Affine } from '../../dsl/affine.ts'
import { showType } from '../ops/shape.ts'
import { rootsOf } from './nodes.ts'
import type { Graph, Node, Region } from './types.ts'

const inlineConstant = 64

const showNumber = (value: number): string =>
  Number.isFinite(value) ? (Object.is(value, -0) ? '-0' : String(value)) : value > 0 ? 'inf' : value < 0 ? '-inf' : 'nan'

const isAffine = (value: object): value is Affine => 'terms' in value && 'const' in value
const isRegion = (value: object): value is Region => 'params' in value && 'results' in value

/** Operands first, otherwise in the order in which the roots ask: depends on the structure only, never on ids. */
function inPostOrder(roots: readonly Node[]): readonly Node[] {
  const seen = new Set<Node>()
  const visit = (node: Node): void => {
    if (seen.has(node)) return
    node.operands.forEach(visit)
    seen.add(node)
  }
  roots.forEach(visit)
  return [...seen]
}

class Printer {
  readonly #numbers = new Map<Node, number>()
  #next = 0

  graph(graph: Graph): string {
    const symbols = graph.symbols.map(({ name, kind, min, max }) => `  symbol ${name} ${kind} ${min} ..= ${max}`)
    const limits = (graph.limits ?? []).map(({ left, right, why }) => `  limit <${show(left)}> ${right} ${JSON.stringify(why)}`)
    const args = graph.arguments.map(({ name, type }) => `  input ${JSON.stringify(name)}: ${showType(type)}`)
    const constants = [...graph.constants.values()]
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .map(({ id, dtype, dims, data }) => {
        const values = data.length <= inlineConstant ? `[${[...data].map(showNumber).join(', ')}]` : '...'
        return `  constant ${JSON.stringify(id)}: ${dtype}[${dims.join(', ')}] = ${values}`
      })
    return [
      `entry ${JSON.stringify(graph.entry)} {`,
      ...symbols,
      ...limits,
      ...args,
      ...constants,
      ...this.#body(graph, '  '),
      '}',
      '',
    ].join('\n')
  }

  #body(owner: Pick<Region, 'results' | 'states'>, indent: string): string[] {
    const lines = inPostOrder(rootsOf(owner)).flatMap((node) => (node.op === 'param' ? [] : this.#node(node, indent)))
    const results = `${indent}yield ${owner.results.map((node) => this.#name(node)).join(', ')}`.trimEnd()
    const states = [...owner.states].map(([path, node]) => `${indent}state ${JSON.stringify(path)} = ${this.#name(node)}`)
    return [...lines, results, ...states]
  }

  #name(node: Node): string {
    return `%${this.#numbers.get(node)}`
  }

  #node(node: Node, indent: string): string[] {
    const operands = node.operands.map((operand) => this.#name(operand)).join(', ')
    const attributes = Object.entries(node.attributes).map(([key, value]) => `${key}: ${this.#value(value, indent)}`)
    const types = node.types ? `(${node.types.map(showType).join(', ')})` : showType(node.type)
    this.#numbers.set(node, this.#next++)
    const record = attributes.length > 0 ? ` { ${attributes.join(', ')} }` : ''
    return [`${indent}${this.#name(node)} = ${node.op}(${operands})${record}: ${types}`]
  }

  #value(value: unknown, indent: string): string {
    if (typeof value === 'number') return showNumber(value)
    if (typeof value !== 'object' || value === null) return JSON.stringify(value)
    if (Array.isArray(value)) return `[${value.map((item) => this.#value(item, indent)).join(', ')}]`
    if (isAffine(value)) return `<${show(value)}>`
    if (isRegion(value)) return this.#region(value, indent)
    return `{ ${Object.entries(value)
      .map(([key, item]) => `${JSON.stringify(key)}: ${this.#value(item, indent)}`)
      .join(', ')} }`
  }

  #region(region: Region, indent: string): string {
    // Names of a region end with it: a node that stands in two regions is written in both.
    const outer = new Map(this.#numbers)
    this.#numbers.clear()
    const params = region.params.map((param) => {
      this.#numbers.set(param, this.#next++)
      return `${this.#name(param)}: ${showType(param.type)}`
    })
    const lines = this.#body(region, `${indent}    `)
    this.#numbers.clear()
    for (const [node, number] of outer) this.#numbers.set(node, number)
    return [`region (${params.join(', ')}) {`, ...lines, `${indent}  }`].join('\n')
  }
}

/** The graph as text; equal graphs give equal text. */
export const printGraph = (graph: Graph): string => new Printer().graph(graph)
