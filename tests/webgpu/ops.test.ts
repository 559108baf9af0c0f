// Every row of the loop-op table, at every argument type: WGSL on SwiftShader agrees with the evaluator on random arguments.
// Integers, comparisons and exact float operations bit for bit, the rest within the bound of its row. Constant arguments that
// WGSL's own constant folding would refuse are accepted.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { constant, elementOf, isVector, load, ops, resultType } from '../../compiler/schedule/build-loops.ts'
import { evaluateLoops } from '../../compiler/schedule/evaluate-loops.ts'
import { type LoopExpr, type LoopFunction, type LoopOp, loopOps, type LoopType, partOps } from '../../compiler/schedule/loops.ts'
import { createNullGpu, createSoftwareGpu, openDevice, type TestDevice } from '../support/dawn.ts'
import { createWgpu } from '../support/deno/gpu.ts'
import { compileWgsl, layoutKernel, runWgsl } from '../support/run-wgsl.ts'

const count = 256
const lanes = 4
const workgroup = 64

type Random = () => number
function randomOf(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    const mixed = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d)
    return ((mixed ^ (mixed >>> 13)) >>> 0) / 2 ** 32
  }
}

const between = (low: number, high: number) => (random: Random) => Math.fround(low + (high - low) * random())
const word = (random: Random) => Math.floor(random() * 2 ** 32) | 0
const anyFloat = (random: Random) =>
  Math.fround([(random() - 0.5) * 16, (random() - 0.5) * 2000, Math.floor(random() * 33 - 16) / 2, 0][Math.floor(random() * 4)]!)
const anyInt = (random: Random) => [word(random), Math.floor(random() * 40) - 20][Math.floor(random() * 2)]!
const floatBits = new DataView(new ArrayBuffer(4))
const bitsOf = (x: number) => (floatBits.setFloat32(0, x), floatBits.getInt32(0))

/** Draws of each argument, where they differ from any float and any integer. */
const domains: Partial<Record<string, readonly ((random: Random) => number)[]>> = {
  'div i32': [(r) => Math.floor(r() * 1e6), (r) => 1 + Math.floor(r() * 50)],
  'rem i32': [(r) => Math.floor(r() * 1e6), (r) => 1 + Math.floor(r() * 50)],
  'div f32': [anyFloat, between(0.01, 50)],
  'shl i32': [anyInt, (r) => Math.floor(r() * 32)],
  'shr_s i32': [anyInt, (r) => Math.floor(r() * 32)],
  'shr_u i32': [anyInt, (r) => Math.floor(r() * 32)],
  'sqrt f32': [between(0, 1000)],
  'rsqrt f32': [between(0.001, 1000)],
  'log f32': [between(1e-4, 100)],
  'exp f32': [between(-80, 90)],
  'tanh f32': [between(-15, 15)],
  'erf f32': [between(-5, 5)],
  'sin f32': [between(-1000, 1000)],
  'cos f32': [between(-1000, 1000)],
  'pow f32': [between(-8, 8), (r) => Math.floor(r() * 13) - 6],
  // Beyond 2^31 WGSL clamps to the largest f32 below it, the evaluator to 2^31 − 1.
  'to_i32 f32': [between(-2.1e9, 2.1e9)],
  'bits_f32 i32': [(r) => bitsOf(anyFloat(r))],
  'dot4 i32': [word, (r) => word(r) & 0x7f7f7f7f, anyInt],
  'dot4_signed i32': [word, word, anyInt],
  // Both halves finite (their exponents below 31), denormals among them.
  'half i32': [(r) => word(r) & (r() < 0.3 ? 0x83ff83ff | 0 : 0xbbffbbff | 0)],
}

const relative = (bound: number) => (wanted: number) => Math.abs(wanted) * bound
const absolute = (bound: number) => () => bound
/** How far a result may be from the evaluator's, by its value and the arguments'; absent: not at all. */
const tolerances: Partial<Record<LoopOp, (wanted: number, args: readonly number[]) => number>> = {
  div: relative(4e-7),
  sqrt: relative(4e-7),
  rsqrt: relative(4e-7),
  exp: (wanted, [x]) => wanted * (3 + 2 * Math.abs(x!)) * 2 ** -23,
  log: absolute(2e-6),
  tanh: relative(1e-6),
  erf: absolute(2 ** -20),
  sin: absolute(2e-6),
  cos: absolute(2e-6),
  pow: (wanted, [, y]) => Math.abs(wanted) * (2 + Math.abs(y!)) * 2 ** -22,
  madd: (wanted, [a, b, c]) => (Math.abs(a! * b!) + Math.abs(c!) + Math.abs(wanted)) * 2 ** -23,
}

interface Case {
  readonly op: LoopOp
  readonly types: readonly LoopType[]
}

/** Argument types of an op whose table row allows `type`. */
function typesOf(op: LoopOp, type: LoopType): LoopType[] {
  const types: LoopType[] = new Array(loopOps[op][1]).fill(type)
  if (op === 'select') types[0] = isVector(type) ? 'boolx4' : 'bool'
  if (/^(shl|shr_[su])$/.test(op)) types[1] = 'i32'
  return types
}

const cases: Case[] = (Object.keys(loopOps) as LoopOp[]).flatMap((op) =>
  op.startsWith('lane_') || partOps.has(op)
    ? []
    : (loopOps[op][2] as readonly LoopType[]).map((type) => ({ op, types: typesOf(op, type) })),
)

/** A bool operand is the sign of an integer. */
function argument(type: LoopType, operand: number, at: LoopExpr): LoopExpr {
  if (type === 'bool') return ops.lt(load('i32', operand, at), 0)
  if (type === 'boolx4') return ops.lt(load('i32x4', operand, at), constant('i32x4', 0))
  return load(type, operand, at)
}

const stored = (value: LoopExpr): LoopExpr =>
  value.type === 'bool' ? ops.to_i32(value) : value.type === 'boolx4' ? ops.to_i32x4(value) : value

const invocation = ops.mul(
  ops.add(ops.mul({ kind: 'builtin', type: 'i32', name: 'group_x' }, workgroup), { kind: 'builtin', type: 'i32', name: 'invocation' }),
  lanes,
)

/** Each invocation reads four words of each argument and writes op(…) to its four words of the result. */
function kernelOf(name: string, types: readonly LoopType[], result: (args: readonly LoopExpr[]) => LoopExpr): LoopFunction {
  const value = stored(result(types.map((type, i) => argument(type, i, invocation))))
  return {
    name,
    operands: [
      ...types.map(
        (type, i) =>
          ({
            name: `a${i}`,
            element: elementOf(type) === 'f32' ? 'f32' : 'i32',
            access: 'read',
            memory: { kind: 'buffer', operand: i },
          }) as const,
      ),
      {
        name: 'out',
        element: elementOf(value.type) === 'f32' ? 'f32' : 'i32',
        access: 'write',
        memory: { kind: 'buffer', operand: types.length },
      },
    ],
    symbols: [],
    body: [{ kind: 'store', operand: types.length, at: invocation, offset: 0, value }],
    workgroup,
    grid: [[{ size: { const: count, terms: [] }, divisor: workgroup }]],
  }
}

const apply = (op: LoopOp, args: readonly LoopExpr[]): LoopExpr => (ops[op] as (...args: readonly LoopExpr[]) => LoopExpr)(...args)

const bounds = new Map<string, { min: number; max: number }>()
async function compare(device: GPUDevice, fn: LoopFunction, op: LoopOp, types: readonly LoopType[], packedDots = false): Promise<void> {
  const random = randomOf([...fn.name].reduce((h, c) => h * 31 + c.charCodeAt(0), 7))
  const domain = domains[`${op} ${elementOf(types[0]!)}`] ?? (op.startsWith('half') ? domains['half i32'] : undefined)
  const inputs = types.map((type, i) => {
    const float = elementOf(type) === 'f32'
    const draw =
      (op === 'bits_f32x4' ? domains['bits_f32 i32'] : op === 'to_i32x4' && float ? domains['to_i32 f32'] : domain)?.[i] ??
      (float ? anyFloat : anyInt)
    const values = Array.from({ length: count * lanes }, () => draw(random))
    return float ? Float32Array.from(values) : Int32Array.from(values)
  })
  const make = () => (fn.operands.at(-1)!.element === 'f32' ? new Float32Array(count * lanes) : new Int32Array(count * lanes))
  const [wanted, got] = [make(), make()]
  evaluateLoops(fn, { memory: [...inputs, wanted] })
  await runWgsl(device, fn, { memory: [...inputs, got] }, bounds, [], { form: { packedDots } })
  wanted.forEach((w, at) => {
    const args = inputs.map((input) => input[at]!)
    const bound = tolerances[op]?.(w, args) ?? 0
    const error = Math.abs(got[at]! - w)
    // The remainder jumps by the divisor where the quotient is whole.
    if (!(error <= bound)) expect.fail(`${fn.name}(${args.join(', ')}) = ${w}, WGSL gives ${got[at]}, allowed ${bound}`)
  })
}

describe.each([
  ['Dawn', createSoftwareGpu],
  ['wgpu', createWgpu],
] as const)('loop ops in WGSL by %s', (_, create) => {
  let opened: TestDevice
  let device: GPUDevice
  beforeAll(async () => {
    opened = await openDevice(await create())
    device = opened.device
  })
  afterAll(() => {
    expect(opened.errors).toEqual([])
    device.destroy()
  })

  test.each(cases)('$op on $types', async ({ op, types }) => {
    await compare(
      device,
      kernelOf(`${op}_${types.join('_')}`, types, (args) => apply(op, args)),
      op,
      types,
    )
  })

  test('lanes', async () => {
    for (const [op, type] of [
      ['lane_f32', 'f32x4'],
      ['lane_i32', 'i32x4'],
    ] as const) {
      for (let lane = 0; lane < 4; lane++)
        await compare(
          device,
          kernelOf(`${op}_${lane}`, [type], ([v]) => ops[op](v!, lane)),
          op,
          [type],
        )
    }
  })

  test('dot4 by dot4I8Packed', async () => {
    for (const type of ['i32', 'i32x4'] as const) {
      await compare(
        device,
        kernelOf(`dot4_${type}`, [type, type, type], ([a, b, c]) => ops.dot4(a!, b!, c!)),
        'dot4',
        [type, type, type],
        true,
      )
    }
  })

  test('a dot in parts', async () => {
    const types = ['i32x4', 'i32x4', 'i32x4'] as const
    const whole = kernelOf('dot_parts', types, ([a, b, c]) => ops.dot_close(ops.dot_part(a!, b!, ops.dot_open(c!)), c!))
    const scaled = kernelOf('dot_scaled', types, ([a, b, c]) => {
      const part = ops.dot_part(a!, b!, ops.dot_start(ops.and(c!, constant('i32x4', 0x007f007f))))
      return ops.dot_scaled(part, ops.byte_pairs(c!, ops.byte_mask(2)), c!)
    })
    const differing = kernelOf('dot_less', types, ([a, b, c]) => {
      const less = ops.dot_part(b!, b!, ops.dot_open(constant('i32x4', 0)))
      return ops.sub(ops.dot_less(ops.dot_part(a!, b!, ops.dot_open(c!)), less, c!), ops.dot_rest(less))
    })
    for (const fn of [whole, scaled, differing])
      for (const packedDots of [false, true]) await compare(device, fn, 'dot4', types, packedDots)
  })
})

test.each([
  ['Dawn', createNullGpu],
  ['wgpu', createWgpu],
] as const)('constant arguments of any value are accepted by %s', async (_, create) => {
  const { device, errors } = await openDevice(await create())
  const extremes = { i32: [0, -1, 2147483647, -2147483648], f32: [0, -0, -1, 3.4028234663852886e38, 1e-45], bool: [0, 1] }
  for (const { op, types } of cases) {
    for (const pick of [0, 1, 2, 3]) {
      const args = types.map((type, i): LoopExpr => {
        const values = extremes[elementOf(type) as 'i32']
        return { kind: 'const', type, value: values[(pick + i) % values.length]! }
      })
      const fn = kernelOf(`constant_${op}`, [], () => ({ kind: 'op', type: resultType(op, types), op, args }))
      await compileWgsl(device, layoutKernel(fn, [count * lanes], bounds))
    }
  }
  expect(errors).toEqual([])
  device.destroy()
})
