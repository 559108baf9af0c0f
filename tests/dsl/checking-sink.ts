// A listener that believes nothing: it recomputes every type from positions alone, refuses what does not fit, and writes a
// journal of primitive names (for comparing walks).

import { add, type Affine, constant, equals, isConstant, show, subtract } from '../../dsl/affine.ts'
import type { Dtype, SpecialisedModel, TensorType } from '../../dsl/index.ts'
import type { LoopSpec, Sink } from '../../dsl/sink.ts'

export interface Handle {
  readonly type: TensorType
  readonly scope: number
}

const floats: readonly Dtype[] = ['f32', 'f16', 'bf16']

function must(condition: boolean, text: string): asserts condition {
  if (!condition) throw new Error(`sink: ${text}`)
}

const showType = ({ dtype, dims }: TensorType): string => `${dtype}[${dims.map(show).join(', ')}]`

export class CheckingSink implements Sink<Handle> {
  readonly journal: string[] = []
  readonly stores: string[] = []
  readonly loops: { array: string; order: readonly number[]; groups: number }[] = []
  readonly composites = new Map<string, Readonly<Record<string, unknown>>>()
  readonly #model: SpecialisedModel
  readonly #scopes: number[] = [0]
  #arrays: { array: string; representative: number }[] = []
  #next = 1

  constructor(model: SpecialisedModel) {
    this.#model = model
  }

  #make(name: string, dtype: Dtype, dims: readonly Affine[]): Handle {
    this.journal.push(`${name} ${showType({ dtype, dims })}`)
    return { type: { dtype, dims }, scope: this.#scopes.at(-1) as number }
  }

  // A composite is closed: what it reads was made inside it.
  #use(...handles: readonly Handle[]): void {
    for (const handle of handles) {
      must(handle !== undefined, 'an operand is missing')
      must(this.#visible(handle.scope), 'an operand comes from outside the composite')
    }
  }

  #closedFrom = 0
  #visible(scope: number): boolean {
    return this.#scopes.slice(this.#closedFrom).includes(scope)
  }

  type(value: Handle): TensorType {
    return value.type
  }

  literal(value: number, dtype: Dtype): Handle {
    must(!Number.isNaN(value), 'NaN literal')
    must(floats.includes(dtype) || Number.isInteger(value), `${value} as ${dtype}`)
    return this.#make(`literal ${value}`, dtype, [])
  }

  size(value: Affine): Handle {
    return this.#make(`size ${show(value)}`, 'i32', [])
  }

  iota(n: Affine): Handle {
    return this.#make('iota', 'i32', [n])
  }

  unary(op: string, x: Handle): Handle {
    this.#use(x)
    must(
      op === 'not' ? x.type.dtype === 'bool' : op === 'neg' || op === 'abs' ? x.type.dtype !== 'bool' : floats.includes(x.type.dtype),
      `${op} of ${x.type.dtype}`,
    )
    return this.#make(op, x.type.dtype, x.type.dims)
  }

  binary(op: string, a: Handle, b: Handle): Handle {
    this.#use(a, b)
    must(showType(a.type) === showType(b.type), `${op} of ${showType(a.type)} and ${showType(b.type)}`)
    const compares = ['eq', 'ne', 'lt', 'le', 'gt', 'ge'].includes(op)
    must(op === 'and' || op === 'or' ? a.type.dtype === 'bool' : a.type.dtype !== 'bool' || compares, `${op} of ${a.type.dtype}`)
    return this.#make(op, compares ? 'bool' : a.type.dtype, a.type.dims)
  }

  where(condition: Handle, yes: Handle, no: Handle): Handle {
    this.#use(condition, yes, no)
    must(condition.type.dtype === 'bool', 'where wants bool')
    must(showType(yes.type) === showType(no.type), 'where sides')
    must(
      condition.type.dims.length === yes.type.dims.length && condition.type.dims.every((d, i) => equals(d, yes.type.dims[i] as Affine)),
      'where condition',
    )
    return this.#make('where', yes.type.dtype, yes.type.dims)
  }

  cast(x: Handle, dtype: Dtype): Handle {
    this.#use(x)
    must(x.type.dtype !== dtype, 'a cast to the same type')
    return this.#make('cast', dtype, x.type.dims)
  }

  broadcast(x: Handle, dims: readonly Affine[], places: readonly number[]): Handle {
    this.#use(x)
    must(places.length === x.type.dims.length, 'broadcast places')
    must(
      places.every((p, i) => (i === 0 || p > (places[i - 1] as number)) && equals(dims[p] as Affine, x.type.dims[i] as Affine)),
      'broadcast sizes',
    )
    return this.#make('broadcast', x.type.dtype, dims)
  }

  reduce(op: string, x: Handle, axes: readonly number[]): Handle {
    this.#use(x)
    must(axes.length > 0 && new Set(axes).size === axes.length && axes.every((a) => a < x.type.dims.length), 'reduce axes')
    return this.#make(
      op,
      x.type.dtype,
      x.type.dims.filter((_, i) => !axes.includes(i)),
    )
  }

  dot(a: Handle, b: Handle, contract: readonly (readonly [number, number])[], batch: readonly (readonly [number, number])[]): Handle {
    this.#use(a, b)
    must(a.type.dtype === b.type.dtype, 'dot types')
    const pairs = [...contract, ...batch]
    must(
      pairs.every(([i, j]) => equals(a.type.dims[i] as Affine, b.type.dims[j] as Affine)),
      'dot sizes',
    )
    must(new Set(pairs.map(([i]) => i)).size === pairs.length && new Set(pairs.map(([, j]) => j)).size === pairs.length, 'dot pairs')
    const left = a.type.dims.filter((_, i) => !contract.some(([c]) => c === i))
    const right = b.type.dims.filter((_, j) => !pairs.some(([, c]) => c === j))
    return this.#make('dot', a.type.dtype, [...left, ...right])
  }

  split(x: Handle, axis: number, sizes: readonly Affine[]): Handle {
    this.#use(x)
    must(equals(product(sizes), x.type.dims[axis] as Affine), 'split sizes')
    return this.#make('split', x.type.dtype, x.type.dims.toSpliced(axis, 1, ...sizes))
  }

  merge(x: Handle, axis: number, count: number): Handle {
    this.#use(x)
    must(axis + count <= x.type.dims.length, 'merge axes')
    return this.#make('merge', x.type.dtype, x.type.dims.toSpliced(axis, count, product(x.type.dims.slice(axis, axis + count))))
  }

  transpose(x: Handle, order: readonly number[]): Handle {
    this.#use(x)
    must([...order].sort((p, q) => p - q).every((p, i) => p === i) && order.length === x.type.dims.length, 'transpose order')
    return this.#make(
      'transpose',
      x.type.dtype,
      order.map((i) => x.type.dims[i] as Affine),
    )
  }

  slice(x: Handle, axis: number, start: Affine, size: Affine): Handle {
    this.#use(x)
    const room = subtract(x.type.dims[axis] as Affine, add(start, size))
    must(!isConstant(room) || room.const >= 0, 'slice range')
    return this.#make('slice', x.type.dtype, x.type.dims.with(axis, size))
  }

  pick(x: Handle, axis: number, at: Affine): Handle {
    this.#use(x)
    must(!isConstant(at) || at.const >= 0, 'pick place')
    return this.#make('pick', x.type.dtype, x.type.dims.toSpliced(axis, 1))
  }

  concat(parts: readonly Handle[], axis: number): Handle {
    this.#use(...parts)
    const [first] = parts as [Handle]
    for (const p of parts)
      must(
        p.type.dims.every((d, i) => i === axis || equals(d, first.type.dims[i] as Affine)) && p.type.dtype === first.type.dtype,
        'concat parts',
      )
    return this.#make('concat', first.type.dtype, first.type.dims.with(axis, parts.map((p) => p.type.dims[axis] as Affine).reduce(add)))
  }

  pad(x: Handle, axis: number, before: Affine, after: Affine): Handle {
    this.#use(x)
    return this.#make('pad', x.type.dtype, x.type.dims.with(axis, add(add(before, after), x.type.dims[axis] as Affine)))
  }

  gather(x: Handle, axis: number, index: Handle, shared: readonly (readonly [number, number])[]): Handle {
    this.#use(x, index)
    must(index.type.dtype === 'i32' && axis < x.type.dims.length, 'gather index')
    must(
      shared.every(([i, j]) => i !== axis && equals(x.type.dims[i] as Affine, index.type.dims[j] as Affine)),
      'gather shared',
    )
    const added = index.type.dims.filter((_, j) => !shared.some(([, s]) => s === j))
    return this.#make('gather', x.type.dtype, x.type.dims.toSpliced(axis, 1, ...added))
  }

  topk(x: Handle, axis: number, k: number): { values: Handle; indices: Handle } {
    this.#use(x)
    const dims = x.type.dims.with(axis, constant(k))
    return { values: this.#make('topk', x.type.dtype, dims), indices: this.#make('topk', 'i32', dims) }
  }

  argument(name: string, type: TensorType): Handle {
    return this.#make(`argument ${name}`, type.dtype, type.dims)
  }

  weight(path: string): Handle {
    const info = this.#model.weights.find((w) => w.path === this.#concrete(path))
    must(info !== undefined, `no weight ${path}`)
    return this.#make(`weight ${path}`, this.#model.real ?? 'f32', info.dims.map(constant))
  }

  #state(path: string): TensorType {
    const info = this.#model.states.find((s) => s.path === this.#concrete(path))
    must(info !== undefined, `no state ${path}`)
    return { dtype: info.dtype, dims: info.dims.map(constant) }
  }

  #concrete(path: string): string {
    const loop = this.#arrays.at(-1)
    return loop ? path.replace(`${loop.array}[*]`, `${loop.array}[${loop.representative}]`) : path
  }

  readState(path: string): Handle {
    const { dtype, dims } = this.#state(path)
    return this.#make(`state ${path}`, dtype, dims)
  }

  storeState(path: string, axis: number, _start: Affine, value: Handle): void {
    this.#use(value)
    const { dtype, dims } = this.#state(path)
    must(dtype === value.type.dtype && dims.length === value.type.dims.length, `store ${path}`)
    must(
      dims.every((d, i) => i === axis || equals(d, value.type.dims[i] as Affine)),
      `store ${path}`,
    )
    this.stores.push(path)
  }

  scatterState(path: string, axis: number, index: Handle, value: Handle): void {
    this.#use(index, value)
    const { dtype, dims } = this.#state(path)
    must(index.type.dims.length === 1 && dtype === value.type.dtype, `scatter ${path}`)
    must(
      dims.every((d, i) => equals((i === axis ? index.type.dims[0] : d) as Affine, value.type.dims[i] as Affine)),
      `scatter ${path}`,
    )
    this.stores.push(path)
  }

  composite(
    name: string,
    attributes: Readonly<Record<string, unknown>>,
    operands: readonly Handle[],
    body: (o: readonly Handle[]) => readonly Handle[],
  ): readonly Handle[] {
    this.#use(...operands)
    this.composites.set(name, attributes)
    this.journal.push(`composite ${name}`)
    const outer = this.#closedFrom
    const scope = this.#next++
    this.#scopes.push(scope)
    this.#closedFrom = this.#scopes.length - 1
    const results = body(operands.map((o) => ({ ...o, scope })))
    this.#use(...results)
    this.#scopes.pop()
    this.#closedFrom = outer
    return results.map((r) => ({ ...r, scope: this.#scopes.at(-1) as number }))
  }

  loop(spec: LoopSpec<Handle>): readonly Handle[] {
    this.#use(...spec.carried)
    must(
      spec.order.every((g) => g < spec.groups),
      'loop order',
    )
    this.loops.push({ array: spec.array, order: spec.order, groups: spec.groups })
    let results: readonly Handle[] = spec.carried
    for (let group = 0; group < spec.groups; group++) {
      const scope = this.#next++
      this.#scopes.push(scope)
      this.#arrays.push({ array: spec.array, representative: spec.order.indexOf(group) })
      results = spec.body(group, spec.carried)
      this.#use(...results)
      must(
        results.every((r, i) => showType(r.type) === showType((spec.carried[i] as Handle).type)),
        'a carried value changes type',
      )
      this.#arrays = this.#arrays.slice(0, -1)
      this.#scopes.pop()
    }
    return results.map((r) => ({ ...r, scope: this.#scopes.at(-1) as number }))
  }
}

function product(sizes: readonly Affine[]): Affine {
  let factor = 1
  let open: Affine | undefined
  for (const size of sizes) {
    if (isConstant(size)) factor *= size.const
    else {
      must(open === undefined, 'two open sizes multiplied')
      open = size
    }
  }
  return open ? { const: open.const * factor, terms: open.terms.map(([s, f]) => [s, f * factor] as const) } : constant(factor)
}
