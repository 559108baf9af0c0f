// Graphs without composites, straight from the elaborator: the builder with `composite` replaced by its body.

import { GraphBuilder } from '../../compiler/graph/builder.ts'
import type { Graph, Node } from '../../compiler/graph/types.ts'
import type { SpecialisedModel } from '../../dsl/model.ts'
import type { Attribute } from '../../dsl/sink.ts'
import type { Span } from '../../dsl/source.ts'

export class FlatBuilder extends GraphBuilder {
  override composite(
    _name: string,
    _attributes: Readonly<Record<string, Attribute>>,
    operands: readonly Node[],
    body: (operands: readonly Node[]) => readonly Node[],
  ): readonly Node[] {
    return body(operands)
  }
}

/** As the pass quantise-activations does: what meets a weight in a dot is rounded to 8 bits. */
export class RoundingBuilder extends FlatBuilder {
  override dot(
    a: Node,
    b: Node,
    contract: readonly (readonly [number, number])[],
    batch: readonly (readonly [number, number])[],
    span: Span,
  ): Node {
    const left = b.op === 'weight' ? this.factory.make('quantise', [a], {}) : a
    return super.dot(left, b, contract, batch, span)
  }
}

/** All entries of a model. */
export function flatGraphs(model: SpecialisedModel, Builder: typeof FlatBuilder = FlatBuilder): Graph[] {
  return model.entries.map((entry) => {
    const builder = new Builder(model)
    const { results } = model.elaborate(entry.name, builder)
    return builder.finish(entry.name, entry.symbols, results, entry.limits)
  })
}
