// Contraction of labelled axes: batch axes are in both operands and in the result, contracted axes in neither. The result has
// a's axes without the contracted ones, in a's order, then b's own. Evaluated as [batch, M, K] x [batch, N, K] with K last in
// both; rows of b are taken four at a time because one running sum cannot keep the machine busy.
// Sums accumulate wide, so a dot of half floats may be declared f32: `f32(dot(…))` without the rounding between.

import { equals } from '../../dsl/affine.ts'
import { chooseFrom, chooseOperand } from './choose.ts'
import { expect, isFloat, type OpDef } from './op.ts'
import { elements, permute, rounding, type Tensor } from './tensor.ts'

type Pairs = readonly (readonly [number, number])[]

/** Axes of b that are neither contracted nor batch, in order. */
const ownAxes = (rank: number, contract: Pairs, batch: Pairs): number[] => {
  const used = new Set([...contract, ...batch].map(([, axis]) => axis))
  return [...Array(rank).keys()].filter((axis) => !used.has(axis))
}

function multiplyRows(a: Float64Array, b: Float64Array, batch: number, m: number, n: number, k: number): Float64Array {
  const out = new Float64Array(batch * m * n)
  for (let g = 0; g < batch; g++) {
    const aBase = g * m * k
    const bBase = g * n * k
    for (let j = 0; j < n; j += 4) {
      const rows = Math.min(4, n - j)
      const b0 = bBase + j * k
      const b1 = rows > 1 ? b0 + k : b0
      const b2 = rows > 2 ? b1 + k : b0
      const b3 = rows > 3 ? b2 + k : b0
      for (let i = 0; i < m; i++) {
        const base = aBase + i * k
        let s0 = 0
        let s1 = 0
        let s2 = 0
        let s3 = 0
        for (let p = 0; p < k; p++) {
          const x = a[base + p]!
          s0 += x * b[b0 + p]!
          s1 += x * b[b1 + p]!
          s2 += x * b[b2 + p]!
          s3 += x * b[b3 + p]!
        }
        const place = (g * m + i) * n + j
        out[place] = s0
        if (rows > 1) out[place + 1] = s1
        if (rows > 2) out[place + 2] = s2
        if (rows > 3) out[place + 3] = s3
      }
    }
  }
  return out
}

/** Integers wrap: products need more bits than f64 has, so all of it is done modulo 2^32. */
function multiplyIntegers(a: Float64Array, b: Float64Array, batch: number, m: number, n: number, k: number): Float64Array {
  return Float64Array.from({ length: batch * m * n }, (_, place) => {
    const [row, g] = [Math.floor(place / n), Math.floor(place / (n * m))]
    const [left, right] = [row * k, (g * n + (place % n)) * k]
    let sum = 0
    for (let p = 0; p < k; p++) sum = (sum + Math.imul(a[left + p]!, b[right + p]!)) | 0
    return sum
  })
}

export const dot: OpDef<'dot'> = {
  name: 'dot',
  operands: ['a', 'b'],
  rounds: true,
  infer([a, b], { contract, batch }, declared) {
    expect(a !== undefined && b !== undefined && a.dtype === b.dtype && a.dtype !== 'bool', 'dot', 'needs two operands of one number type')
    const pairs = [...contract, ...batch]
    for (const [x, y] of pairs) {
      expect(a.dims[x] !== undefined && b.dims[y] !== undefined && equals(a.dims[x], b.dims[y]), 'dot', `axes ${x} and ${y} differ in size`)
    }
    for (const side of [0, 1]) expect(new Set(pairs.map((pair) => pair[side])).size === pairs.length, 'dot', 'an axis occurs twice')
    const dims = a.dims.filter((_, axis) => !contract.some(([x]) => x === axis))
    const own = ownAxes(b.dims.length, contract, batch).map((axis) => b.dims[axis]!)
    return { dtype: declared?.dtype === 'f32' && isFloat(a.dtype) ? 'f32' : a.dtype, dims: [...dims, ...own] }
  },
  evaluate([a, b], { contract, batch }, { type }) {
    const batchA = batch.map(([x]) => x)
    const inner = contract.map(([x]) => x)
    const freeA = [...a!.dims.keys()].filter((axis) => !batchA.includes(axis) && !inner.includes(axis))
    const freeB = ownAxes(b!.dims.length, contract, batch)
    const left = permute(a!, [...batchA, ...freeA, ...inner])
    const right = permute(b!, [...batch.map(([, y]) => y), ...freeB, ...contract.map(([, y]) => y)])
    const size = (x: Tensor, axes: readonly number[]): number => elements(axes.map((axis) => x.dims[axis]!))
    const multiply = isFloat(type.dtype) ? multiplyRows : multiplyIntegers
    const data = multiply(left.data, right.data, size(a!, batchA), size(a!, freeA), size(b!, freeB), size(a!, inner))
    if (!isFloat(type.dtype)) for (let i = 0; i < data.length; i++) data[i] = rounding[type.dtype](data[i]!)
    // The product's axes are batch, a's own, b's own; batch axes go back to where a has them.
    const product = [...batchA, ...freeA]
    const kept = [...a!.dims.keys()].filter((axis) => !inner.includes(axis))
    const order = [...kept.map((axis) => product.indexOf(axis)), ...freeB.map((_, i) => product.length + i)]
    const dims = [...product.map((axis) => a!.dims[axis]!), ...freeB.map((axis) => b!.dims[axis]!)]
    return permute({ dtype: type.dtype, dims, data }, order)
  },
  generate(choices, pool) {
    const a = chooseOperand(choices, pool, (type) => type.dtype === 'f32' && type.dims.length > 0 && type.dims.length < 4)
    if (a === undefined) return undefined
    const b = chooseOperand(choices, pool, (type) => type.dtype === 'f32' && type.dims.length < 4)!
    const contract: [number, number][] = []
    const batch: [number, number][] = []
    pool[b]!.dims.forEach((dim, y) => {
      const fits = pool[a]!.dims.flatMap((other, x) =>
        equals(dim, other) && ![...contract, ...batch].some(([used]) => used === x) ? [x] : [],
      )
      const x = chooseFrom(choices, fits)
      if (x === undefined) return
      const kind = choices.integer(0, 2)
      if (kind < 2) (kind === 0 ? contract : batch).push([x, y])
    })
    const rank = pool[a]!.dims.length + pool[b]!.dims.length - 2 * contract.length - batch.length
    return rank > 5 ? undefined : { operands: [a, b], attributes: { contract, batch } }
  },
}
