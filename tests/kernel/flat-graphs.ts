// Graphs without composites, straight from the elaborator: the builder with `composite` replaced by its body.

import { GraphBuilder } from '../../compiler/graph/builder.ts'
import type { Graph, Node } from '../../compiler/graph/types.ts'
import type { SpecialisedModel } from '../../dsl/model.ts'
import type { Attribute } from '../../dsl/sink.ts'

export class FlatBuilder extends GraphBuilder {
  override composite(_name: string, _attributes: Readonly<Record<string, Attribute>>, operands: readonly Node[],
    body: (operands: readonly Node[]) => readonly Node[]): readonly Node[] {
    return body(operands)
  }
}

/** All entries of a model. */
export function flatGraphs(model: SpecialisedModel): Graph[] {
  return model.entries.map((entry) => {
    const builder = new FlatBuilder(model)
    const { results } = model.elaborate(entry.name, builder)
    return builder.finish(entry.name, entry.symbols, results, entry.limits)
  })
}
