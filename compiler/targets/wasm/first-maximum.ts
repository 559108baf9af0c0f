// The choice of the most likely word, where the scores lie: so that a greedy step gives one number instead of a vocabulary of them. Two
// walks: the highest score in lanes, then the first place that has it. The runtime's `argmax` (runtime/sampling.ts) defines it: NaNs are
// passed over, of equals the first wins (-0 equals 0), and where no score is finite or one is +inf there is none.

import binaryen from 'binaryen'
import { wasmSampler } from '../../../runtime/artifact/wasm-sampler.ts'
import type { AddressType } from './address-type.ts'
import type { Ref } from './expressions.ts'

const { i32, f32, v128 } = binaryen
const lanes = 4
/** Vectors a step: as many running maxima, which hide the latency of one. */
const vectors = 4

export function addFirstMaximum(m: binaryen.Module, addresses: AddressType): void {
  const [from, count, index, bits, value] = [0, 1, 2, 3, 4]
  const sums = Array.from({ length: vectors }, (_, i) => 5 + i)
  const get = (local: number): Ref => m.local.get(local, i32)
  const number = (): Ref => m.local.get(value, f32)
  const vector = (local: number): Ref => m.local.get(local, v128)
  const infinity = (sign: 1 | -1): Ref => m.f32.const(sign * Infinity)
  const scoreAt = (): Ref => addresses.add(base(), addresses.distance(get(index), 2))
  const base = (): Ref => (addresses.wide ? m.i64.extend_u(get(from)) : get(from))
  const load = (nth: number): Ref => m.v128.load(nth * lanes * 4, 4, scoreAt())
  const one = (): Ref => m.f32.load(0, 4, scoreAt())
  /** From `index` on, steps of `by` while whole ones are left. */
  const walk = (label: string, by: number, body: Ref[]): Ref =>
    m.loop(
      label,
      m.if(
        m.i32.le_s(m.i32.add(get(index), m.i32.const(by)), get(count)),
        m.block(null, [...body, m.local.set(index, m.i32.add(get(index), m.i32.const(by))), m.br(label)]),
      ),
    )
  const start = (): Ref => m.local.set(index, m.i32.const(0))
  // pmax(a, b) is a < b ? b : a: a NaN in b leaves a.
  const higher = (): Ref => m.local.set(value, m.select(m.f32.gt(one(), number()), one(), number()))
  const lane = (nth: number): Ref => m.f32x4.extract_lane(vector(sums[0]!), nth)
  const laneHigher = (nth: number): Ref => m.local.set(value, m.select(m.f32.gt(lane(nth), number()), lane(nth), number()))
  const found = (place: Ref): Ref => m.return(place)
  const body = [
    ...sums.map((sum) => m.local.set(sum, m.f32x4.splat(infinity(-1)))),
    m.local.set(value, infinity(-1)),
    start(),
    walk(
      'highest',
      lanes * vectors,
      sums.map((sum, nth) => m.local.set(sum, m.f32x4.pmax(vector(sum), load(nth)))),
    ),
    walk('rest', 1, [higher()]),
    ...sums.slice(1).map((sum) => m.local.set(sums[0]!, m.f32x4.pmax(vector(sums[0]!), vector(sum)))),
    ...Array.from({ length: lanes }, (_, nth) => laneHigher(nth)),
    m.if(m.f32.eq(m.f32.abs(number()), infinity(1)), found(m.i32.const(-1))),
    m.local.set(sums[0]!, m.f32x4.splat(number())),
    start(),
    walk('place', lanes, [
      m.local.set(bits, m.i32x4.bitmask(m.f32x4.eq(load(0), vector(sums[0]!)))),
      m.if(get(bits), found(m.i32.add(get(index), m.i32.ctz(get(bits))))),
    ]),
    walk('last', 1, [m.if(m.f32.eq(one(), number()), found(get(index)))]),
    m.i32.const(-1),
  ]
  const locals = [i32, i32, f32, ...sums.map(() => v128)]
  m.addFunction(wasmSampler.firstMaximum, binaryen.createType([i32, i32]), i32, locals, m.block(null, body, i32))
  m.addFunctionExport(wasmSampler.firstMaximum, wasmSampler.firstMaximum)
}
