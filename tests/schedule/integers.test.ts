// Integers of all types on machines that have signed 32-bit words only: every function of the scalar table, casts, reductions,
// products and choices, against the reference, to the last bit. Values are those where signs and widths matter.

import { expect, test } from 'vitest'
import { constant } from '../../dsl/affine.ts'
import { binaryOps, type Dtype, unaryOps } from '../../dsl/sink.ts'
import type { GraphBuilder } from '../../compiler/graph/builder.ts'
import type { Node } from '../../compiler/graph/types.ts'
import { accepts, binaryRow, unaryRow } from '../../compiler/ops/scalar.ts'
import { type BuiltEntry, builtEntry, builtReference, span, withCompiled } from '../support/built-model.ts'
import { createSoftwareGpu } from '../support/dawn.ts'

const integers = ['i32', 'u32', 'i8', 'u8'] as const
type Integer = (typeof integers)[number]

const edges: Readonly<Record<Integer, readonly number[]>> = {
  i32: [-2147483648, -2147483647, -70000, -3, -1, 0, 1, 2, 7, 65537, 2147483646, 2147483647],
  u32: [0, 1, 2, 3, 7, 65537, 2147483647, 2147483648, 2147483649, 4000000000, 4294967294, 4294967295],
  i8: [-128, -127, -100, -3, -1, 0, 1, 2, 7, 100, 126, 127],
  u8: [0, 1, 2, 3, 7, 100, 127, 128, 129, 200, 254, 255],
}
// Every pair of edge values; rows of 13 leave a rest behind vectors.
const rows = 12
const width = 13
const pairs = (dtype: Integer): { a: number[]; b: number[] } => {
  const values = edges[dtype]
  const at = (i: number): number => values[i % values.length]!
  return {
    a: Array.from({ length: rows * width }, (_, i) => at(Math.floor(i / width) + i)),
    b: Array.from({ length: rows * width }, (_, i) => at(Math.floor(i / width))),
  }
}
const numbers = [-5e9, -2147483649, -129.5, -128, -1.5, -0.5, 0, 0.5, 127.9, 128, 255.5, 256, 2147483520, 2147483648, 4294967040, 5e9]

const entries: BuiltEntry[] = []
const inputs = new Map<string, Record<string, number[]>>()

function add(name: string, dtype: Integer, make: (builder: GraphBuilder, a: Node, b: Node) => Node): void {
  const type = { dtype, dims: [rows, width].map(constant) }
  const build = (builder: GraphBuilder): Node[] => [make(builder, builder.argument('a', type, span), builder.argument('b', type, span))]
  entries.push(builtEntry(`${dtype}_${name}`, build))
  inputs.set(`${dtype}_${name}`, pairs(dtype))
}

for (const dtype of integers) {
  for (const fn of binaryOps) if (accepts(binaryRow(fn), dtype)) add(fn, dtype, (builder, a, b) => builder.binary(fn, a, b, span))
  for (const fn of unaryOps) if (accepts(unaryRow(fn), dtype)) add(fn, dtype, (builder, a) => builder.unary(fn, a, span))
  for (const to of [...integers, 'f32', 'bool'] as const)
    if (to !== dtype) add(`to_${to}`, dtype, (builder, a) => builder.cast(a, to, span))
  for (const fn of ['sum', 'max', 'min'] as const) {
    add(`${fn}_of_rows`, dtype, (builder, a) => builder.reduce(fn, a, [1], span))
    add(`${fn}_of_columns`, dtype, (builder, a) => builder.reduce(fn, a, [0], span))
    // The reduction's result is used again over its axis, so that it stays inside one kernel.
    add(`above_${fn}`, dtype, (builder, a) =>
      builder.binary('sub', a, builder.broadcast(builder.reduce(fn, a, [1], span), a.type.dims, [0], span), span),
    )
  }
  add('dot', dtype, (builder, a, b) => builder.dot(a, b, [[1, 1]], [], span))
  add('largest', dtype, (builder, a) => builder.topk(a, 1, 5, span).values)
  add('largest_at', dtype, (builder, a) => builder.topk(a, 1, 5, span).indices)
  const read = (builder: GraphBuilder): Node[] => {
    const x = builder.argument('x', { dtype: 'f32', dims: [constant(numbers.length)] }, span)
    return [builder.cast(x, dtype as Dtype, span)]
  }
  entries.push(builtEntry(`${dtype}_from_f32`, read))
  inputs.set(`${dtype}_from_f32`, { x: numbers.map(Math.fround) })
}

const wanted = new Map(
  entries.map((entry) => {
    const { name } = entry.info
    return [name, Array.from(builtReference(entry, 'typed').run(name, {}, inputs.get(name)!).results[0]!.data)] as const
  }),
)

test.each(['wasm', 'webgpu'] as const)('integers on %s are those of the reference', async (target) => {
  const gpu = target === 'webgpu' ? await createSoftwareGpu() : undefined
  await withCompiled(entries, { target, gpu }, async (call) => {
    for (const { info } of entries) {
      const given = Object.fromEntries(info.arguments.map(({ name }) => [name, inputs.get(info.name)![name]!]))
      const [result] = await call(info.name, given)
      expect({ entry: info.name, values: Array.from(result!.values, (x) => x + 0) }).toEqual({
        entry: info.name,
        values: wanted.get(info.name)!.map((x) => x + 0),
      })
    }
  })
})

test('a value outside its type is refused', async () => {
  const few = entries.filter(({ info }) => ['i8_abs', 'u8_abs', 'u32_abs'].includes(info.name))
  await withCompiled(few, { target: 'wasm' }, async (call) => {
    const given = (value: number): number[] => new Array<number>(rows * width).fill(value)
    for (const [name, value] of [
      ['i8_abs', 128],
      ['i8_abs', -129],
      ['u8_abs', 256],
      ['u8_abs', -1],
      ['u32_abs', -1],
      ['u32_abs', 2 ** 32],
    ] as const)
      await expect(call(name, { a: given(value) }), `${name} of ${value}`).rejects.toMatchObject({ code: 'E_ARGUMENT' })
  })
})
