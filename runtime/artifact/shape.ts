// A small validator for JSON from files: a shape is a function that throws E_ARTIFACT_MANIFEST with the path of the first
// value that is not as described. Unknown keys are allowed (a later compiler may add some); `__proto__` from JSON.parse is
// an own key and never copied, so it goes nowhere.
import { fail } from '../error-codes.ts'

/** Throws unless `value` has the shape; `path` names it in the message. */
export type Shape = (value: unknown, path: string) => void

function wrong(path: string, expected: string, value: unknown): never {
  // A list or an object may be nested deeper than JSON.stringify goes.
  const shown =
    value === undefined
      ? 'nothing'
      : Array.isArray(value)
        ? 'a list'
        : typeof value === 'object' && value !== null
          ? 'an object'
          : JSON.stringify(value)
  fail('E_ARTIFACT_MANIFEST', `${path}: expected ${expected}, found ${shown.length > 60 ? `${shown.slice(0, 60)}…` : shown}`)
}

export const text: Shape = (value, path) => {
  if (typeof value !== 'string') wrong(path, 'a string', value)
}
export const anything: Shape = () => {}

/** A safe integer in [min, max]. */
export const integer =
  (min: number, max = Number.MAX_SAFE_INTEGER): Shape =>
  (value, path) => {
    if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max)
      wrong(path, `an integer from ${min} to ${max}`, value)
  }

export const matching =
  (pattern: RegExp, description: string): Shape =>
  (value, path) => {
    if (typeof value !== 'string' || !pattern.test(value)) wrong(path, description, value)
  }

export const oneOf =
  (...values: readonly string[]): Shape =>
  (value, path) => {
    if (!values.includes(value as string)) wrong(path, values.map((v) => JSON.stringify(v)).join(' or '), value)
  }

export const optional =
  (shape: Shape): Shape =>
  (value, path) => {
    if (value !== undefined) shape(value, path)
  }

export const listOf =
  (shape: Shape, length?: number): Shape =>
  (value, path) => {
    if (!Array.isArray(value)) wrong(path, 'a list', value)
    if (length !== undefined && value.length !== length) wrong(path, `a list of ${length}`, value)
    for (const [index, item] of value.entries()) shape(item, `${path}[${index}]`)
  }

export const pair =
  (first: Shape, second: Shape): Shape =>
  (value, path) => {
    listOf(anything, 2)(value, path)
    const [a, b] = value as [unknown, unknown]
    first(a, `${path}[0]`)
    second(b, `${path}[1]`)
  }

function record(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) wrong(path, 'an object', value)
  return value as Record<string, unknown>
}

export const object =
  (fields: Readonly<Record<string, Shape>>): Shape =>
  (value, path) => {
    const found = record(value, path)
    for (const [name, shape] of Object.entries(fields)) shape(Object.hasOwn(found, name) ? found[name] : undefined, `${path}.${name}`)
  }

export const mapOf =
  (shape: Shape): Shape =>
  (value, path) => {
    for (const [name, item] of Object.entries(record(value, path))) shape(item, `${path}.${name}`)
  }

/** Objects told apart by the string in `key`. */
export const tagged =
  (key: string, shapes: Readonly<Record<string, Shape>>): Shape =>
  (value, path) => {
    const tag = record(value, path)[key]
    if (typeof tag !== 'string' || !Object.hasOwn(shapes, tag)) wrong(`${path}.${key}`, Object.keys(shapes).join(' or '), tag)
    shapes[tag]!(value, path)
  }

/** JSON.parse with a typed error. */
export function parseJson(bytes: Uint8Array, file: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    fail('E_ARTIFACT_MANIFEST', `${file} is not JSON: ${(cause as Error).message}`, cause)
  }
}
