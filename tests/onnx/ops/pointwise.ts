// Element by element: arithmetic, comparisons, casts and activation functions.

import type { BinaryOpName, UnaryOp } from '../../../dsl/sink.ts'
import type { Node } from '../../../compiler/graph/types.ts'
import { elementType } from '../read-vectors.ts'
import type { Translator } from '../translate.ts'
import type { Call, Row, Rows } from './row.ts'

const unary =
  (fn: UnaryOp): Row =>
  (c) =>
    c.gives(c.t.unary(fn, c.x(0)))
const binary =
  (fn: BinaryOpName): Row =>
  (c) =>
    c.gives(c.t.binary(fn, c.x(0), c.x(1)))
const compared =
  (fn: BinaryOpName): Row =>
  (c) =>
    c.gives(c.t.binary(fn, c.x(0), c.x(1)), 'bool')
const folded =
  (fn: BinaryOpName): Row =>
  (c) =>
    c.gives(c.nodes.reduce((a, b) => c.t.binary(fn, a, b)))
const composed =
  (make: (t: Translator, x: Node, c: Call) => Node): Row =>
  (c) =>
    c.gives(make(c.t, c.x(0), c))

/** Names of ONNX's element types by their number. */
const typeNumbers: Readonly<Record<number, string>> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  4: 'uint16',
  5: 'int16',
  6: 'int32',
  7: 'int64',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  12: 'uint32',
  13: 'uint64',
  16: 'bfloat16',
  17: 'float8e4m3fn',
  18: 'float8e4m3fnuz',
  19: 'float8e5m2',
  20: 'float8e5m2fnuz',
  21: 'uint4',
  22: 'int4',
  23: 'float4e2m1',
  24: 'float8e8m0',
  25: 'uint2',
  26: 'int2',
}

export const typeOfNumber = (number: number): string => typeNumbers[number] ?? `number ${number}`

/** Into a type that we hold in a wider one, a cast would have to cut off bits: there is no such primitive. */
function castTo(c: Call, type: string): ReturnType<Row> {
  const { dtype } = elementType(type)
  if (/^u?int(2|4|16)$/.test(type)) c.missing(`cast to ${type}`)
  // Activations are f32 on every target. A half float has digits enough for ONNX's tolerance without being rounded to it.
  if (type === 'bfloat16' && c.t.isFloat(c.x(0)) && c.x(0).type.dtype !== dtype) c.missing('rounding to bfloat16')
  return c.gives(c.t.cast(c.x(0), dtype), type)
}

/** The remainder with the divisor's sign, from the one with the dividend's. */
function floorMod(t: Translator, a: Node, b: Node): Node {
  const rest = t.binary('mod', a, b)
  const other = t.binary('ne', t.with('lt', rest, 0), t.with('lt', b, 0))
  return t.where(t.binary('and', t.with('ne', rest, 0), other), t.binary('add', rest, b), rest)
}

/** Powers of integers go by way of f32. */
function power(t: Translator, a: Node, b: Node): Node {
  const float = t.isFloat(a) ? a.type.dtype : 'f32'
  const result = t.binary('pow', t.cast(a, float), t.cast(b, float))
  return t.isFloat(a) ? result : t.cast(t.round(result), a.type.dtype)
}

export const swish = (t: Translator, x: Node, alpha: number): Node =>
  t.binary('mul', x, t.sigmoid(alpha === 1 ? x : t.with('mul', x, alpha)))

function gelu(t: Translator, x: Node, approximate: string): Node {
  const half = t.with('mul', x, 0.5)
  if (approximate !== 'tanh') return t.binary('mul', half, t.with('add', t.unary('erf', t.with('mul', x, Math.SQRT1_2)), 1))
  const cube = t.binary('mul', t.binary('mul', x, x), x)
  const inner = t.with('mul', t.binary('add', x, t.with('mul', cube, 0.044715)), Math.sqrt(2 / Math.PI))
  return t.binary('mul', half, t.with('add', t.unary('tanh', inner), 1))
}

const exponentials = (t: Translator, x: Node): [Node, Node] => [t.unary('exp', x), t.unary('exp', t.unary('neg', x))]

export const pointwise: Rows = {
  Add: binary('add'),
  Sub: binary('sub'),
  Mul: binary('mul'),
  Div: binary('div'),
  Sum: folded('add'),
  Max: folded('max'),
  Min: folded('min'),
  Mod: (c) => c.gives(c.number('fmod', 0) === 1 ? c.t.binary('mod', c.x(0), c.x(1)) : floorMod(c.t, c.x(0), c.x(1))),
  Pow: (c) => c.gives(power(c.t, c.x(0), c.x(1))),
  And: binary('and'),
  Or: binary('or'),
  Not: unary('not'),
  Equal: compared('eq'),
  Less: compared('lt'),
  LessOrEqual: compared('le'),
  Greater: compared('gt'),
  GreaterOrEqual: compared('ge'),
  Neg: unary('neg'),
  Abs: unary('abs'),
  Exp: unary('exp'),
  Log: unary('log'),
  Sqrt: unary('sqrt'),
  Sin: unary('sin'),
  Cos: unary('cos'),
  Tanh: unary('tanh'),
  Erf: unary('erf'),
  Floor: unary('floor'),
  Ceil: composed((t, x) => t.unary('neg', t.unary('floor', t.unary('neg', x)))),
  Round: composed((t, x) => t.round(x)),
  Reciprocal: composed((t, x) => t.binary('div', t.literal(1, x.type.dtype), x)),
  Relu: composed((t, x) => t.with('max', x, 0)),
  Sigmoid: composed((t, x) => t.sigmoid(x)),
  Sinh: composed((t, x) => t.with('mul', t.binary('sub', ...exponentials(t, x)), 0.5)),
  Cosh: composed((t, x) => t.with('mul', t.binary('add', ...exponentials(t, x)), 0.5)),
  Swish: composed((t, x, c) => swish(t, x, c.number('alpha', 1))),
  Gelu: composed((t, x, c) => gelu(t, x, c.text('approximate', 'none'))),
  SwiGLU: (c) => c.gives(c.t.binary('mul', swish(c.t, c.x(0), c.number('alpha', 1)), c.x(1))),
  Clip(c) {
    const [low, high] = [c.optional(1), c.optional(2)]
    const above = low ? c.t.binary('max', c.x(0), low) : c.x(0)
    return c.gives(high ? c.t.binary('min', above, high) : above)
  },
  Where: (c) => c.gives(c.t.where(c.x(0), c.x(1), c.x(2)), c.value(1).type),
  Identity: (c) => c.gives(c.x(0)),
  Cast: (c) => castTo(c, typeOfNumber(c.number('to', 0))),
  CastLike: (c) => castTo(c, c.value(1).type),
}
