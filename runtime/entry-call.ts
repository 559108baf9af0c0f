// From a user's named values to a checked call of an entry: sizes are inferred from lengths, every range and limit of the
// manifest is tested before a device sees anything. A device may trust what comes out of here.
import { elementCount, evaluateAffine } from './artifact/affine.ts'
import { type AffineJson, type ElementType, type EntryManifest, isFloatType } from './artifact/manifest.ts'
import type { ArgumentArray, ResultArray } from './devices/device.ts'
import { fail } from './error-codes.ts'

/** A tensor argument: row-major values, flat or nested by axis. An index or a size: a number. */
export type ArgumentValue = number | boolean | ArrayLike<number> | NestedNumbers
export type NestedNumbers = readonly (number | boolean | NestedNumbers)[]
export type EntryArguments = Readonly<Record<string, ArgumentValue>>

export interface TensorResult {
  /** Of a value by path (`layers.3.attn`), in a model compiled with --tap; an entry's own result has none. */
  readonly name?: string
  readonly dtype: EntryManifest['results'][number]['dtype']
  readonly dims: readonly number[]
  /** Names of the axes. */
  readonly labels: readonly string[]
  /** Row-major. */
  readonly values: ResultArray
}

export interface PreparedCall {
  readonly entry: EntryManifest
  readonly symbols: Readonly<Record<string, number>>
  readonly inputs: Readonly<Record<string, ArgumentArray>>
}

type TensorArgument = Extract<EntryManifest['arguments'][number], { kind: 'tensor' }>

/**
 * Checks `values` against the entry. Sizes that no tensor argument shows may be given by name.
 * E_ARGUMENT: missing, unknown, wrong type or length. E_TOKEN_RANGE: an id that is not in its table. E_CONTEXT_FULL: a limit on
 * `start` is passed. E_LIMIT: another limit is.
 */
export function prepareCall(entry: EntryManifest, values: EntryArguments): PreparedCall {
  const accepted = new Set([...entry.arguments.map(({ name }) => name), ...entry.symbols.map(({ name }) => name)])
  for (const name of Object.keys(values)) {
    if (!accepted.has(name)) fail('E_ARGUMENT', `${entry.name} has no argument ${name}; it takes ${signature(entry)}`)
  }
  const symbols: Record<string, number> = Object.create(null)
  for (const { name } of entry.symbols) {
    const value = Object.hasOwn(values, name) ? values[name] : undefined
    if (value === undefined) continue
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) fail('E_ARGUMENT', `${entry.name}: ${name} must be an integer`)
    symbols[name] = value
  }
  const inputs: Record<string, ArgumentArray> = Object.create(null)
  for (const argument of entry.arguments) {
    const value = Object.hasOwn(values, argument.name) ? values[argument.name] : undefined
    if (value === undefined) fail('E_ARGUMENT', `${entry.name} needs ${argument.name}; it takes ${signature(entry)}`)
    if (argument.kind === 'tensor') inputs[argument.name] = bindTensor(entry, argument, value, symbols)
  }
  for (const { name } of entry.symbols) {
    if (symbols[name] === undefined) fail('E_ARGUMENT', `${entry.name}: nothing tells the size ${name}; pass it by name`)
  }
  for (const argument of entry.arguments) {
    if (argument.kind !== 'tensor') continue
    const expected = elementCount(argument.dims, symbols)
    const given = inputs[argument.name]!.length
    if (given !== expected) {
      fail('E_ARGUMENT', `${entry.name}: ${argument.name} has ${given} values, expected ${expected} (${shape(argument, symbols)})`)
    }
  }
  checkLimits(entry, symbols)
  for (const argument of entry.arguments) if (argument.kind === 'tensor') checkValues(entry, argument, inputs[argument.name]!)
  return { entry, symbols, inputs }
}

/** The results with their dims, from a device's arrays. */
export function describeResults({ entry, symbols }: PreparedCall, arrays: readonly ResultArray[]): TensorResult[] {
  return entry.results.map(({ name, dtype, dims, labels }, index) => ({
    ...(name === undefined ? {} : { name }),
    dtype,
    labels,
    dims: dims.map((dim) => evaluateAffine(dim, symbols)),
    values: arrays[index]!,
  }))
}

/** Results of consecutive calls as one: their first axes are laid end to end. */
export function joinRows(parts: readonly TensorResult[]): TensorResult {
  const first = parts[0]!
  if (parts.length === 1) return first
  const length = parts.reduce((sum, { values }) => sum + values.length, 0)
  const values = first.values instanceof Float64Array ? new Float64Array(length) : new Float32Array(length)
  let at = 0
  for (const part of parts) {
    values.set(part.values, at)
    at += part.values.length
  }
  return { ...first, dims: [parts.reduce((sum, { dims }) => sum + dims[0]!, 0), ...first.dims.slice(1)], values }
}

/** `prefill(tokens: i32[seq], start)` */
export function signature(entry: EntryManifest): string {
  const shown = entry.arguments.map((a) => (a.kind === 'index' ? a.name : `${a.name}: ${a.dtype}[${a.labels.join(', ')}]`))
  return `${entry.name}(${shown.join(', ')})`
}

function shape({ dims, labels }: TensorArgument, symbols: Readonly<Record<string, number>>): string {
  return dims.map((dim, axis) => `${labels[axis] ?? axis} = ${evaluateAffine(dim, symbols)}`).join(', ')
}

/** The values as a flat array of the argument's type; sizes that its length determines are entered into `symbols`. */
function bindTensor(entry: EntryManifest, argument: TensorArgument, value: ArgumentValue, symbols: Record<string, number>): ArgumentArray {
  const where = `${entry.name}: ${argument.name}`
  const nestedDims = nesting(value)
  // A nested list shows each of its sizes; a flat one only the product.
  const dims = nestedDims.length > 1 && nestedDims.length === argument.dims.length ? nestedDims : undefined
  const flat = typeof value === 'object' ? flatten(value, where) : [Number(value)]
  let data: ArgumentArray
  if (isFloatType(argument.dtype)) data = flat instanceof Float32Array ? flat : Float32Array.from(flat)
  else {
    data = flat instanceof Int32Array ? flat : Int32Array.from(flat)
    if (data !== flat) {
      const read = argument.dtype === 'u32' ? new Uint32Array(data.buffer) : data
      for (let i = 0; i < data.length; i++)
        if (read[i] !== Number(flat[i])) fail('E_ARGUMENT', `${where}: ${flat[i]} is not a 32-bit integer`)
    }
  }
  if (dims) for (const [axis, dim] of argument.dims.entries()) solve(dim, dims[axis]!, symbols, where)
  else {
    let rest = data.length
    const unknown: AffineJson[] = []
    for (const dim of argument.dims) {
      if (dim.terms.some(([name]) => symbols[name] === undefined)) unknown.push(dim)
      else rest /= evaluateAffine(dim, symbols)
    }
    if (unknown.length === 1) solve(unknown[0]!, rest, symbols, where)
  }
  return data
}

/** If the dim has one symbol without a value, the value that makes it `size`. */
function solve(dim: AffineJson, size: number, symbols: Record<string, number>, where: string): void {
  const open = dim.terms.filter(([name]) => symbols[name] === undefined)
  if (open.length !== 1) return
  const [name, factor] = open[0]!
  let known = dim.const
  for (const [other, by] of dim.terms) if (other !== name) known += by * symbols[other]!
  const value = (size - known) / factor
  if (!Number.isInteger(value)) fail('E_ARGUMENT', `${where} has a length that fits no ${name}`)
  symbols[name] = value
}

function nesting(value: unknown): number[] {
  const dims: number[] = []
  let at = value
  while (Array.isArray(at)) {
    dims.push(at.length)
    at = at[0]
  }
  return dims
}

function flatten(value: ArrayLike<number> | NestedNumbers, where: string): ArrayLike<number> {
  if (ArrayBuffer.isView(value)) return value as unknown as ArrayLike<number>
  if (!Array.isArray(value)) fail('E_ARGUMENT', `${where} must be a list of numbers or a typed array`)
  const out: number[] = []
  const visit = (items: NestedNumbers, depth: number): void => {
    let length: number | undefined
    for (const item of items) {
      if (typeof item === 'object') {
        if (length !== undefined && item.length !== length) fail('E_ARGUMENT', `${where} is a ragged list`)
        length = item.length
        visit(item, depth + 1)
      } else if (typeof item !== 'number' && typeof item !== 'boolean') fail('E_ARGUMENT', `${where} holds ${String(item)}, not a number`)
      else out.push(Number(item))
    }
  }
  visit(value as NestedNumbers, 0)
  return out
}

function checkLimits(entry: EntryManifest, symbols: Readonly<Record<string, number>>): void {
  for (const { name, min, max } of entry.symbols) {
    const value = symbols[name]!
    if (value < min || value > max) {
      fail(
        name === 'start' && value > max ? 'E_CONTEXT_FULL' : 'E_LIMIT',
        `${entry.name}: ${name} is ${value}, the model was compiled for ${min} to ${max}`,
      )
    }
  }
  for (const { left, right, why } of entry.limits) {
    const value = evaluateAffine(left, symbols)
    if (value <= right) continue
    const code = left.terms.some(([name, factor]) => name === 'start' && factor > 0) ? 'E_CONTEXT_FULL' : 'E_LIMIT'
    fail(code, `${entry.name}: ${value} exceeds ${right} (${why})`)
  }
}

const bytes: Readonly<Partial<Record<ElementType, readonly [number, number]>>> = { i8: [-128, 127], u8: [0, 255] }

/** Ids inside their table, booleans 0 or 1, bytes that are some, no NaN or infinity: kernels rely on finite numbers. */
function checkValues(entry: EntryManifest, argument: TensorArgument, data: ArgumentArray): void {
  const top = argument.below ?? (argument.dtype === 'bool' ? 2 : undefined)
  const range = bytes[argument.dtype]
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!
    if (top !== undefined && !(value >= 0 && value < top)) {
      fail('E_TOKEN_RANGE', `${entry.name}: ${argument.name}[${i}] is ${value}, expected 0 to ${top - 1}`)
    }
    if (range && (value < range[0] || value > range[1])) {
      fail('E_ARGUMENT', `${entry.name}: ${argument.name}[${i}] is ${value}, expected ${range[0]} to ${range[1]}`)
    }
    if (!Number.isFinite(value)) fail('E_ARGUMENT', `${entry.name}: ${argument.name}[${i}] is ${value}`)
  }
}
