// Calls of a compiled model's entries for tests of its levels, and the tensors of its artifact.

import { tensorBytes } from '../../compiler/artifact/contents.ts'
import { type Binding, evaluate } from '../../dsl/affine.ts'
import type { EntryInfo } from '../../dsl/model.ts'
import type { Compiled } from './compiled.ts'

export const product = (dims: readonly number[]): number => dims.reduce((count, dim) => count * dim, 1)

export interface Call {
  readonly entry: EntryInfo
  readonly binding: Binding
  readonly inputs: Readonly<Record<string, Float64Array>>
}

/** Every entry once, in order, on ids of its own; positions go on from call to call, so later calls read what earlier ones stored. */
export function callsOf({ compilation: { model } }: Compiled): Call[] {
  let start = 0
  return model.entries.map((entry) => {
    const binding = Object.fromEntries(entry.symbols.map(({ name }) => [name, name === 'start' ? start : 3]))
    if ('start' in binding) start += 'seq' in binding ? 3 : 1
    const inputs = Object.fromEntries(
      entry.arguments.flatMap((argument) => {
        if (argument.kind === 'index') return []
        const ids = argument.name !== 'segments'
        const count = product(argument.type.dims.map((dim) => evaluate(dim, binding)))
        return [[argument.name, Float64Array.from({ length: count }, (_, i) => (ids ? 3 + ((i * 17 + start * 5) % 80) : i % 2))] as const]
      }),
    )
    return { entry, binding, inputs }
  })
}

/** Bytes of every tensor as the artifact stores them, by number. */
export async function tensorsOf({ compilation }: Compiled): Promise<(index: number) => Int32Array> {
  const tensors = compilation.contents.tensors.map((tensor) => new Int32Array(tensorBytes(tensor).buffer))
  return (index) => tensors[index]!
}
