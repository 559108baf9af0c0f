// Reads the text of print.ts back into a graph. A recursive reader over a token list; nodes go through the factory, so types are
// inferred again and compared with the written ones. For tests and for people who edit a graph by hand: a fault is an
// internal error that names the line.

import { add, constant, scale, symbol, type Affine } from '../../dsl/affine.ts'
import { opNames } from '../ops/index.ts'
import { sameType, showType } from '../ops/shape.ts'
import { nodeFactory, type NodeFactory } from './nodes.ts'
import type { Attributes, Constant, Dtype, Graph, Node, OpName, Region, TensorType } from './types.ts'

const tokenPattern = /"(?:[^"\\]|\\.)*"|%\d+|\.\.=|\.\.\.|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|-?inf|nan|[A-Za-z_]\w*|[^\s\w]|\n/g

const dtypes: ReadonlySet<string> = new Set(['f32', 'f16', 'bf16', 'i32', 'u32', 'i8', 'u8', 'bool'])

interface Names {
  readonly nodes: Map<string, Node>
}

class Reader {
  readonly #tokens: string[] = []
  readonly #lines: number[] = []
  readonly #given: ReadonlyMap<string, Constant>
  #factory: NodeFactory = nodeFactory()
  #at = 0

  constructor(text: string, given: ReadonlyMap<string, Constant>) {
    this.#given = given
    let line = 1
    for (const [token] of text.matchAll(tokenPattern)) {
      if (token === '\n') line++
      else {
        this.#tokens.push(token)
        this.#lines.push(line)
      }
    }
  }

  graph(): Graph {
    this.#take('entry')
    const entry = this.#string()
    this.#take('{')
    const symbols = this.#list('symbol', () => {
      const name = this.#next()
      const kind = this.#next() as 'size' | 'index'
      const min = this.#number()
      this.#take('..=')
      return { name, kind, min, max: this.#number() }
    })
    const limits = this.#list('limit', () => ({ left: this.#affine(), right: this.#number(), why: this.#string() }))
    const inputs = this.#list('input', () => {
      const name = this.#string()
      this.#take(':')
      return { name, type: this.#type() }
    })
    const constants = new Map(this.#list('constant', () => this.#constant()).map((each) => [each.id, each]))
    this.#factory = nodeFactory(constants.values())
    const { results, states } = this.#body({ nodes: new Map() })
    return { entry, arguments: inputs, symbols, limits, results, states, constants, spans: new Map() }
  }

  // ---- parts

  #constant(): Constant {
    const id = this.#string()
    this.#take(':')
    const { dtype, dims } = this.#type()
    this.#take('=')
    const sizes = dims.map((dim) => dim.const)
    if (this.#peek() !== '...') return { id, dtype, dims: sizes, data: Float64Array.from(this.#value({ nodes: new Map() }) as number[]) }
    this.#next()
    const given = this.#given.get(id)
    if (!given) this.#fault(`the data of the constant ${id} is not in the text`)
    return given
  }

  #body(names: Names): Pick<Region, 'results' | 'states'> {
    while (this.#peek()?.startsWith('%')) this.#node(names)
    this.#take('yield')
    const results: Node[] = []
    while (this.#peek()?.startsWith('%')) {
      results.push(this.#operand(names))
      if (this.#peek() === ',') this.#next()
    }
    const states = new Map(
      this.#list('state', () => {
        const path = this.#string()
        this.#take('=')
        return [path, this.#operand(names)] as const
      }),
    )
    this.#take('}')
    return { results, states }
  }

  #node(names: Names): void {
    const name = this.#next()
    this.#take('=')
    const op = this.#next() as OpName
    if (!opNames.includes(op)) this.#fault(`there is no op ${op}`)
    const operands: Node[] = []
    this.#take('(')
    while (this.#peek() !== ')') {
      operands.push(this.#operand(names))
      if (this.#peek() === ',') this.#next()
    }
    this.#take(')')
    const attributes = this.#peek() === '{' ? this.#record(names) : {}
    this.#take(':')
    const types = this.#peek() === '(' ? this.#types() : [this.#type()]
    const node = this.#factory.make(op, operands, attributes as unknown as Attributes[typeof op], types[0])
    const made = node.types ?? [node.type]
    if (made.length !== types.length || made.some((type, i) => !sameType(type, types[i]!))) {
      this.#fault(`${name} has type ${made.map(showType)}, the text says ${types.map(showType)}`)
    }
    names.nodes.set(name, node)
  }

  #region(): Region {
    this.#take('region')
    this.#take('(')
    const names: Names = { nodes: new Map() }
    const id = this.#factory.region()
    const params: Node<'param'>[] = []
    while (this.#peek() !== ')') {
      const name = this.#next()
      this.#take(':')
      const param = this.#factory.param(id, params.length, this.#type())
      names.nodes.set(name, param)
      params.push(param)
      if (this.#peek() === ',') this.#next()
    }
    this.#take(')')
    this.#take('{')
    return { id, params, ...this.#body(names) }
  }

  #value(names: Names): unknown {
    const token = this.#peek()
    if (token === '[') {
      this.#next()
      const items: unknown[] = []
      while (this.#peek() !== ']') {
        items.push(this.#value(names))
        if (this.#peek() === ',') this.#next()
      }
      this.#next()
      return items
    }
    if (token === '<') return this.#affine()
    if (token === '{') return this.#record(names)
    if (token === 'region') return this.#region()
    if (token?.startsWith('"')) return this.#string()
    if (token === 'true' || token === 'false' || token === 'null') return JSON.parse(this.#next())
    return this.#number()
  }

  #record(names: Names): Record<string, unknown> {
    this.#take('{')
    const record: [string, unknown][] = []
    while (this.#peek() !== '}') {
      const key = this.#peek()?.startsWith('"') ? this.#string() : this.#next()
      this.#take(':')
      record.push([key, this.#value(names)])
      if (this.#peek() === ',') this.#next()
    }
    this.#take('}')
    return Object.fromEntries(record)
  }

  #type(): TensorType {
    const dtype = this.#next()
    if (!dtypes.has(dtype)) this.#fault(`there is no element type ${dtype}`)
    this.#take('[')
    const dims: Affine[] = []
    while (this.#peek() !== ']') {
      dims.push(this.#sum())
      if (this.#peek() === ',') this.#next()
    }
    this.#take(']')
    return { dtype: dtype as Dtype, dims }
  }

  #types(): TensorType[] {
    const types: TensorType[] = []
    this.#take('(')
    while (this.#peek() !== ')') {
      types.push(this.#type())
      if (this.#peek() === ',') this.#next()
    }
    this.#take(')')
    return types
  }

  #affine(): Affine {
    this.#take('<')
    const value = this.#sum()
    this.#take('>')
    return value
  }

  /** `2*seq + start - 1`, as affine.ts shows it. */
  #sum(): Affine {
    let sum = constant(0)
    for (let sign = 1; ; ) {
      const token = this.#next()
      const number = /^-?\d/.test(token)
      let term = number ? constant(Number(token)) : symbol(token)
      if (number && this.#peek() === '*') {
        this.#next()
        term = scale(symbol(this.#next()), Number(token))
      }
      sum = add(sum, scale(term, sign))
      const follow = this.#peek()
      if (follow !== '+' && follow !== '-') return sum
      sign = this.#next() === '+' ? 1 : -1
    }
  }

  // ---- tokens

  #operand(names: Names): Node {
    const name = this.#next()
    return names.nodes.get(name) ?? this.#fault(`${name} is not known here`)
  }

  #list<T>(word: string, read: () => T): T[] {
    const items: T[] = []
    while (this.#peek() === word) {
      this.#next()
      items.push(read())
    }
    return items
  }

  #string(): string {
    return JSON.parse(this.#next()) as string
  }

  #number(): number {
    const token = this.#next()
    if (token === 'inf') return Number.POSITIVE_INFINITY
    if (token === '-inf') return Number.NEGATIVE_INFINITY
    if (token === 'nan') return Number.NaN
    const value = Number(token)
    if (Number.isNaN(value)) this.#fault(`a number should stand where ${token} is`)
    return value
  }

  #peek(): string | undefined {
    return this.#tokens[this.#at]
  }

  #next(): string {
    return this.#tokens[this.#at++] ?? this.#fault('the text ends too early')
  }

  #take(token: string): void {
    const found = this.#next()
    if (found !== token) this.#fault(`${token} should stand where ${found} is`)
  }

  #fault(message: string): never {
    throw new Error(`internal: graph text, line ${this.#lines[Math.max(0, this.#at - 1)] ?? 0}: ${message}`)
  }
}

/** The graph that a text describes; `constants` gives the data of those that the text only names. */
export const parseGraph = (text: string, constants: ReadonlyMap<string, Constant> = new Map()): Graph => new Reader(text, constants).graph()
