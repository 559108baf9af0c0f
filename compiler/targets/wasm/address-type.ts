// Addresses in a module: i32, or i64 where the memory is larger than 4 GiB ('wide'). Everything else of a program (indices, sizes, symbols)
// is i32 in both. What the runtime passes stays a number: in a wide module, in blocks of 256 bytes.

import binaryen from 'binaryen'
import type { Ref } from './expressions.ts'

/** Session blocks and every thread's own memory begin at multiples of this. */
export const blockBytes = 256
const blockShift = 8

export interface AddressType {
  readonly wide: boolean
  readonly type: binaryen.Type
  /** Bytes of an address in memory: a slot of a loop table. */
  readonly bytes: 4 | 8
  const(value: number): Ref
  add(a: Ref, b: Ref): Ref
  /** An address from memory, at `pointer` + `offset`. */
  load(offset: number, pointer: Ref): Ref
  /** A signed index as a distance of index · 2^shift bytes. */
  distance(index: Ref, shift: number): Ref
  /** What the runtime passed, as an address. */
  passed(value: Ref): Ref
}

export function addressType(m: binaryen.Module, wide: boolean): AddressType {
  if (wide) {
    const { i64 } = m
    return {
      wide,
      type: binaryen.i64,
      bytes: 8,
      const: (value) => i64.const(BigInt(value)),
      add: (a, b) => i64.add(a, b),
      load: (offset, pointer) => i64.load(offset, 8, pointer),
      distance: (index, shift) => i64.shl(i64.extend_s(index), i64.const(BigInt(shift))),
      passed: (value) => i64.shl(i64.extend_u(value), i64.const(BigInt(blockShift))),
    }
  }
  const { i32 } = m
  return {
    wide,
    type: binaryen.i32,
    bytes: 4,
    const: (value) => i32.const(value),
    add: (a, b) => i32.add(a, b),
    load: (offset, pointer) => i32.load(offset, 4, pointer),
    distance: (index, shift) => i32.shl(index, i32.const(shift)),
    passed: (value) => value,
  }
}
