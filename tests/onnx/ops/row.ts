// What a row of the table is given: the inputs and attributes of one ONNX node, and the Translator to say it with.

import type { Node } from '../../../compiler/graph/types.ts'
import { type Attributes, axisOf, rank, type Translator, type Value } from '../translate.ts'
import { Missing } from '../read-vectors.ts'

/** Gives the node's outputs in order. */
export type Row = (call: Call) => readonly Value[]
export type Rows = Readonly<Record<string, Row>>

export class Call {
  readonly t: Translator
  readonly op: string
  readonly inputs: readonly (Value | undefined)[]
  readonly attributes: Attributes
  readonly outputs: number
  /** Of the state that stands for a cache, if the node has one. */
  readonly statePath: string

  constructor(
    t: Translator,
    op: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes,
    outputs: number,
    statePath: string,
  ) {
    this.t = t
    this.op = op
    this.inputs = inputs
    this.attributes = attributes
    this.outputs = outputs
    this.statePath = statePath
  }

  value(index: number): Value {
    return this.inputs[index] ?? fail(`${this.op} has no input ${index}`)
  }

  /** An input that must be there. */
  x(index: number): Node {
    return this.value(index).node
  }

  optional(index: number): Node | undefined {
    return this.inputs[index]?.node
  }

  get nodes(): Node[] {
    return this.inputs.flatMap((input) => input?.node ?? [])
  }

  number(name: string, otherwise: number): number {
    const value = this.attributes[name] ?? otherwise
    return typeof value === 'number' ? value : fail(`${this.op}: ${name} is no number`)
  }

  numbers(name: string): readonly number[] | undefined {
    const value = this.attributes[name]
    return Array.isArray(value) ? (value as readonly number[]) : undefined
  }

  text(name: string, otherwise: string): string {
    return String(this.attributes[name] ?? otherwise)
  }

  /** The attribute `axis` of the first input, counted from the start. */
  axis(otherwise: number): number {
    return axisOf(this.number('axis', otherwise), rank(this.x(0)))
  }

  /** A list that is an attribute in old versions of the op and an input in new ones. */
  list(name: string, index: number): readonly number[] | undefined {
    const input = this.optional(index)
    return this.numbers(name) ?? (input && this.t.known(input))
  }

  /** One output of the first input's type, or of another's. */
  gives(node: Node, type = this.value(0).type): readonly Value[] {
    return [{ node, type }]
  }

  missing(what: string): never {
    throw new Missing(`${this.op}: ${what}`)
  }
}

function fail(message: string): never {
  throw new Error(message)
}
