// Shapes: what a tensor's axes are, and the same elements under other axes.

import type { Dtype } from '../../../dsl/sink.ts'
import type { Node } from '../../../compiler/graph/types.ts'
import { elementType, readTensor, type StoredTensor } from '../read-vectors.ts'
import { axisOf, count, dimsOf, rank, type Value } from '../translate.ts'
import type { Call, Rows } from './row.ts'

const i32s = (c: Call, values: readonly number[]): readonly Value[] => c.gives(c.t.tensor('i32', [values.length], values), 'int64')

function constantValue(c: Call): readonly Value[] {
  const { value } = c.attributes
  if (typeof value === 'object' && 'base64' in value) {
    const { type, dims, data } = readTensor({ name: '', ...value } as StoredTensor)
    return c.gives(c.t.tensor(elementType(type).dtype, dims, data), type)
  }
  const make = (name: string, type: string): readonly Value[] | undefined => {
    const given = c.attributes[name]
    if (given === undefined) return undefined
    const list = [given].flat() as number[]
    return c.gives(c.t.tensor(elementType(type).dtype as Dtype, typeof given === 'number' ? [] : [list.length], list), type)
  }
  return (
    make('value_float', 'float32') ??
    make('value_floats', 'float32') ??
    make('value_int', 'int64') ??
    make('value_ints', 'int64') ??
    c.missing('such a constant')
  )
}

/** 0 keeps the input's size (unless `allowzero`), -1 takes what is left. */
function reshaped(c: Call): readonly number[] {
  const from = dimsOf(c.x(0))
  const zero = c.number('allowzero', 0) === 1
  const wanted = c.list('shape', 1)!.map((dim, i) => (dim === 0 && !zero ? from[i]! : dim))
  return wanted.map((dim) => (dim === -1 ? count(from) / count(wanted.filter((each) => each !== -1)) : dim))
}

function sliced(c: Call): Node {
  const [starts, ends] = [c.list('starts', 1)!, c.list('ends', 2)!]
  const axes = c.list('axes', 3) ?? starts.map((_, i) => i)
  const steps = c.list('steps', 4) ?? starts.map(() => 1)
  return starts.reduce((node, from, i) => {
    const axis = axisOf(axes[i]!, rank(node))
    const size = dimsOf(node)[axis]!
    const step = steps[i]!
    const [low, high] = step > 0 ? [0, size] : [-1, size - 1]
    const place = (at: number): number => Math.min(high, Math.max(low, at < 0 ? at + size : at))
    const start = Math.max(place(from), 0)
    const length = Math.max(0, Math.ceil((place(ends[i]!) - place(from)) / step))
    return c.t.slice(node, axis, Math.min(start, size - (step === 1 ? length : 0)), length, step)
  }, c.x(0))
}

function splitParts(c: Call): readonly Value[] {
  const axis = c.axis(0)
  const size = dimsOf(c.x(0))[axis]!
  const given = c.list('split', 1)
  const each = Math.ceil(size / c.number('num_outputs', c.outputs))
  const sizes = given ?? Array.from({ length: c.outputs }, (_, i) => Math.max(0, Math.min(each, size - i * each)))
  let start = 0
  return sizes.flatMap((length) => {
    const part = c.gives(c.t.slice(c.x(0), axis, start, length))
    start += length
    return part
  })
}

function padded(c: Call): Node {
  if (c.text('mode', 'constant') !== 'constant') c.missing('a mode other than constant')
  const pads = c.list('pads', 1)!
  const axes = (c.list('axes', 3) ?? pads.slice(pads.length / 2).map((_, i) => i)).map((axis) => axisOf(axis, rank(c.x(0))))
  const value = c.optional(2)
  const fill = value ? c.t.known(value)[0]! : 0
  return axes.reduce((node, axis, i) => c.t.pad(node, axis, pads[i]!, pads[i + axes.length]!, fill), c.x(0))
}

/** Every axis beside a new one in front of it that repeats it. */
function tiled(c: Call): Node {
  const from = dimsOf(c.x(0))
  const dims = c.t.known(c.x(1)).flatMap((repeats, i) => [repeats, from[i]!])
  const wide = c.t.place(
    c.x(0),
    dims,
    from.map((_, i) => 2 * i + 1),
  )
  return from.reduce((node, _, axis) => c.t.merge(node, axis, 2), wide)
}

function triangle(c: Call): Node {
  const x = c.x(0)
  const k = c.optional(1)
  const shift = k ? c.t.known(k)[0]! : 0
  const [row, column] = [rank(x) - 2, rank(x) - 1].map((axis) => c.t.positions(dimsOf(x), axis)) as [Node, Node]
  const upper = c.number('upper', 1) === 1
  const kept = c.t.binary(upper ? 'ge' : 'le', column, c.t.with('add', row, shift))
  return c.t.where(kept, x, c.t.literal(0, x.type.dtype))
}

const axesOf = (axes: readonly number[], of: number): number[] => axes.map((axis) => axisOf(axis, of))

export const shapes: Rows = {
  Constant: constantValue,
  ConstantOfShape(c) {
    const { value } = c.attributes
    const fill = value === undefined ? undefined : readTensor({ name: '', ...(value as object) } as StoredTensor)
    const type = fill?.type ?? 'float32'
    return c.gives(c.t.expand(c.t.literal(fill?.data[0] ?? 0, elementType(type).dtype), c.t.known(c.x(0))), type)
  },
  Shape: (c) => i32s(c, dimsOf(c.x(0)).slice(c.number('start', 0), c.number('end', Number.MAX_SAFE_INTEGER))),
  Size: (c) => c.gives(c.t.literal(count(dimsOf(c.x(0))), 'i32'), 'int64'),
  Range(c) {
    const [start, limit, delta] = c.nodes.map((node) => c.t.known(node)[0]!) as [number, number, number]
    const steps = c.t.positions([Math.max(0, Math.ceil((limit - start) / delta))], 0)
    const { dtype } = c.x(0).type
    return c.gives(c.t.binary('add', c.t.binary('mul', c.t.cast(steps, dtype), c.x(2)), c.x(0)))
  },
  Reshape: (c) => c.gives(c.t.reshape(c.x(0), reshaped(c))),
  Flatten(c) {
    const dims = dimsOf(c.x(0))
    const axis = axisOf(c.number('axis', 1), dims.length)
    return c.gives(c.t.reshape(c.x(0), [count(dims.slice(0, axis)), count(dims.slice(axis))]))
  },
  Squeeze(c) {
    const dims = dimsOf(c.x(0))
    const axes = c.list('axes', 1) ?? dims.flatMap((dim, axis) => (dim === 1 ? [axis] : []))
    return c.gives(c.t.squeeze(c.x(0), axesOf(axes, dims.length)))
  },
  Unsqueeze(c) {
    const axes = c.list('axes', 1)!
    return c.gives(c.t.unsqueeze(c.x(0), axesOf(axes, rank(c.x(0)) + axes.length)))
  },
  Expand(c) {
    const [from, shape] = [dimsOf(c.x(0)), c.t.known(c.x(1))]
    const size = Math.max(from.length, shape.length)
    const at = (dims: readonly number[], i: number): number => dims[i - size + dims.length] ?? 1
    return c.gives(
      c.t.expand(
        c.x(0),
        Array.from({ length: size }, (_, i) => (at(from, i) === 1 ? at(shape, i) : at(from, i))),
      ),
    )
  },
  Transpose: (c) => c.gives(c.t.transpose(c.x(0), c.numbers('perm') ?? dimsOf(c.x(0)).map((_, i, all) => all.length - 1 - i))),
  Concat: (c) => c.gives(c.t.concat(c.nodes, c.axis(0))),
  Slice: (c) => c.gives(sliced(c)),
  Split: splitParts,
  Pad: (c) => c.gives(padded(c)),
  Tile: (c) => c.gives(tiled(c)),
  Trilu: (c) => c.gives(triangle(c)),
}
