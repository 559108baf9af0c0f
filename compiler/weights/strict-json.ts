// JSON for headers of strangers' files. JSON.parse keeps the last of two equal keys, rounds large integers, and recurses as
// deep as the text says; this reader refuses the first and the last and gives integers beyond 2^53 as BigInt.
// Objects have no prototype, so a key `__proto__` is an ordinary key. Numbers that Python's writer adds (NaN, Infinity) are read.

import { LlamacError } from '../../runtime/error.ts'
import type { CompilerCode } from '../error-codes.ts'

export type JsonValue = null | boolean | number | bigint | string | readonly JsonValue[] | JsonObject
export interface JsonObject {
  readonly [key: string]: JsonValue
}

const deepest = 64
const numberPattern = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y
const blankPattern = /[ \t\n\r]*/y
const words: ReadonlyMap<string, JsonValue> = new Map<string, JsonValue>([
  ['true', true],
  ['false', false],
  ['null', null],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
])

export const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Reads one JSON text. Throws a LlamacError with `code`; `what` names the text in its message; offsets count characters. */
export function parseStrictJson(text: string, code: CompilerCode, what: string): JsonValue {
  let at = 0

  const fail = (problem: string, place = at): never => {
    throw new LlamacError(code, `${what}: ${problem} (at character ${place})`)
  }
  const skip = (): void => {
    blankPattern.lastIndex = at
    blankPattern.exec(text)
    at = blankPattern.lastIndex
  }
  const expect = (mark: string): void => {
    if (text[at] !== mark) fail(`expected \`${mark}\``)
    at++
  }

  const readString = (): string => {
    const start = at
    expect('"')
    let end = at
    for (;;) {
      const unit = text.charCodeAt(end)
      if (end >= text.length) fail('this string does not end', start)
      if (unit === 0x22) break
      if (unit < 0x20) fail('a control character stands in a string', end)
      end += unit === 0x5c ? 2 : 1
    }
    at = end + 1
    const raw = text.slice(start, at)
    if (!raw.includes('\\')) return raw.slice(1, -1)
    try {
      return JSON.parse(raw) as string
    } catch {
      return fail('this string has a wrong escape', start)
    }
  }

  const readNumber = (): JsonValue => {
    numberPattern.lastIndex = at
    const match = numberPattern.exec(text)
    if (!match) return fail('expected a value')
    const start = at
    at = numberPattern.lastIndex
    const value = Number(match[0])
    if (match[1] !== undefined || match[2] !== undefined || Number.isSafeInteger(value)) return value
    // Turning digits into a BigInt takes quadratic time.
    return match[0].length > 40 ? fail('this integer is too long', start) : BigInt(match[0])
  }

  const readArray = (depth: number): JsonValue => {
    const items: JsonValue[] = []
    at++
    skip()
    if (text[at] === ']') {
      at++
      return items
    }
    for (;;) {
      items.push(readValue(depth + 1))
      skip()
      if (text[at] === ',') at++
      else {
        expect(']')
        return items
      }
    }
  }

  const readObject = (depth: number): JsonValue => {
    const fields: Record<string, JsonValue> = Object.create(null)
    at++
    skip()
    if (text[at] === '}') {
      at++
      return fields
    }
    for (;;) {
      skip()
      const start = at
      const key = readString()
      if (key in fields) fail(`the key ${JSON.stringify(key)} stands here twice`, start)
      skip()
      expect(':')
      fields[key] = readValue(depth + 1)
      skip()
      if (text[at] === ',') at++
      else {
        expect('}')
        return fields
      }
    }
  }

  const readValue = (depth: number): JsonValue => {
    if (depth > deepest) fail('nested too deeply')
    skip()
    const mark = text[at]
    if (mark === '"') return readString()
    if (mark === '{') return readObject(depth)
    if (mark === '[') return readArray(depth)
    for (const [word, value] of words) {
      if (!text.startsWith(word, at)) continue
      at += word.length
      return value
    }
    return readNumber()
  }

  const value = readValue(0)
  skip()
  if (at < text.length) fail('text after the value')
  return value
}
