// x[axis: index]: axis `axis` of x is replaced by index's axes. A `shared` pair [axis of x, axis of index] is walked together,
// as one batch axis, which stays where x has it. Indices outside are clamped, as in every kernel.

import { constant, equals } from '../../dsl/affine.ts'
import { chooseOperand } from './choose.ts'
import { expect, type OpDef } from './op.ts'
import { splice } from './shape.ts'
import { elements, strides } from './tensor.ts'

/** For each axis of the result: the axis of x and the axis of index that it walks (either may be missing). */
function resultAxes(rankX: number, rankIndex: number, axis: number, shared: readonly (readonly [number, number])[]) {
  const walkedByX = new Set(shared.map(([, y]) => y))
  const own = [...Array(rankIndex).keys()].filter((y) => !walkedByX.has(y)).map((index) => ({ x: undefined, index }))
  return [...Array(rankX).keys()].flatMap((x): { x: number | undefined; index: number | undefined }[] =>
    x === axis ? own : [{ x, index: shared.find(([a]) => a === x)?.[1] }],
  )
}

export const gather: OpDef<'gather'> = {
  name: 'gather',
  operands: ['x', 'index'],
  rounds: false,
  infer([x, index], { axis, shared }) {
    expect(x?.dims[axis] !== undefined && index?.dtype === 'i32', 'gather', `needs an i32 index and axis ${axis}`)
    for (const [a, b] of shared) {
      expect(
        a !== axis && x.dims[a] !== undefined && index.dims[b] !== undefined && equals(x.dims[a], index.dims[b]),
        'gather',
        `shared axes ${a} and ${b} differ`,
      )
    }
    const axes = resultAxes(x.dims.length, index.dims.length, axis, shared)
    return { dtype: x.dtype, dims: axes.map((from) => (from.x === undefined ? index.dims[from.index!]! : x.dims[from.x]!)) }
  },
  evaluate([x, index], { axis, shared }) {
    const axes = resultAxes(x!.dims.length, index!.dims.length, axis, shared)
    const dims = axes.map((from) => (from.x === undefined ? index!.dims[from.index!]! : x!.dims[from.x]!))
    const xs = strides(x!.dims)
    const is = strides(index!.dims)
    const stepX = axes.map((from) => (from.x === undefined ? 0 : xs[from.x]!))
    const stepIndex = axes.map((from) => (from.index === undefined ? 0 : is[from.index]!))
    // Trailing axes of x behind `axis` that are not shared are copied in one run.
    let tail = dims.length
    while (tail > 0 && axes[tail - 1]!.index === undefined && axes[tail - 1]!.x! > axis) tail--
    const run = elements(dims.slice(tail))
    const data = new Float64Array(elements(dims))
    const last = x!.dims[axis]! - 1
    const at = new Array<number>(tail).fill(0)
    for (let out = 0; out < data.length; out += run) {
      let fromX = 0
      let fromIndex = 0
      for (let i = 0; i < tail; i++) {
        fromX += at[i]! * stepX[i]!
        fromIndex += at[i]! * stepIndex[i]!
      }
      const row = Math.min(last, Math.max(0, index!.data[fromIndex]!))
      const place = fromX + row * xs[axis]!
      data.set(x!.data.subarray(place, place + run), out)
      for (let i = tail - 1; i >= 0; i--) {
        if (++at[i]! < dims[i]!) break
        at[i] = 0
      }
    }
    return { dtype: x!.dtype, dims, data }
  },
  generate(choices, pool) {
    const x = chooseOperand(
      choices,
      pool,
      (type) => type.dims.length > 0 && type.dims.length < 4 && type.dims.every((dim) => !equals(dim, constant(0))),
    )
    const index = chooseOperand(choices, pool, (type) => type.dtype === 'i32' && type.dims.length < 3)
    if (x === undefined || index === undefined) return undefined
    const axis = choices.integer(0, pool[x]!.dims.length - 1)
    const shared: [number, number][] = []
    pool[index]!.dims.forEach((dim, y) => {
      const a = pool[x]!.dims.findIndex((other, i) => i !== axis && equals(other, dim) && !shared.some(([used]) => used === i))
      if (a >= 0 && choices.integer(0, 1) === 1) shared.push([a, y])
    })
    const rank = splice(pool[x]!.dims, axis, 1).length + pool[index]!.dims.length - shared.length
    return rank > 4 ? undefined : { operands: [x, index], attributes: { axis, shared } }
  },
}
