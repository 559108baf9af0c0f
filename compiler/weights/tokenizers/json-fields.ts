// Fields of JSON from strangers, where a value of another type is as good as none.

import { isObject, type JsonValue } from '../strict-json.ts'

export const text = (value: JsonValue | undefined): string | undefined => (typeof value === 'string' ? value : undefined)
export const list = (value: JsonValue | undefined): readonly JsonValue[] => (Array.isArray(value) ? value : [])
export const field = (value: JsonValue | undefined, name: string): JsonValue | undefined => (isObject(value) ? value[name] : undefined)
