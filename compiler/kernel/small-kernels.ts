// Kernels that no graph node stands for (copies), a kernel as a step, and when a kernel may write over what it reads.

import type { Bounds } from '../../dsl/affine.ts'
import type { Dtype, Node } from '../graph/types.ts'
import { buildKernel, type Place } from './build.ts'
import { showIndex } from './index-walk.ts'
import { distinct, type KernelStep } from './program.ts'
import type { Expr, Kernel, OperandSource } from './types.ts'

/** How a value of this type lies in a buffer: floats as f32, integers and truth values as i32. */
export const plainFormat = (dtype: Dtype): string => (dtype === 'f16' || dtype === 'bf16' || dtype === 'f32' ? 'f32' : 'i32')

/** How a state lies: in blocks, as halves, or as values do. */
export const stateFormat = ({ attributes, type }: Node<'state'>): string =>
  attributes.stored === 'q8_0' ? 's8' : type.dtype === 'f16' ? 'f16' : plainFormat(type.dtype)

/** The step of one kernel, without its dependencies. */
export function kernelStep(kernel: Kernel): Omit<Extract<KernelStep, { kind: 'kernel' }>, 'dependsOn'> {
  const of = (access: string): OperandSource[] =>
    distinct(kernel.operands.flatMap((operand) => (operand.access === access || operand.access === 'readwrite' ? [operand.source] : [])))
  return { kind: 'kernel', kernel, reads: of('read'), writes: of('write') }
}

/** Copies all elements from one place to another. */
export function copyKernel(name: string, from: Place, to: Place, symbols: Bounds): Kernel {
  const node = {
    id: -1,
    op: 'param',
    operands: [],
    attributes: { index: 0, region: -1 },
    type: { dtype: from.dtype, dims: from.dims },
  } as const satisfies Node<'param'>
  const root = { id: -2, op: 'cast', operands: [node], attributes: {}, type: node.type } as const satisfies Node<'cast'>
  return buildKernel(name, [{ node: root, target: to }], { symbols, placeOf: (each) => (each === node ? from : undefined) })
}

/** Whether a kernel that writes over a value reads it only at the element that it is about to write. */
export function isPointwiseUpdate(kernel: Kernel): boolean {
  return kernel.operands.every(
    (operand, n) => operand.access !== 'readwrite' || operand.source.kind !== 'value' || readsWhatItWrites(kernel, n),
  )
}

/** Whether every load of operand `n` is at the element that the same output writes. */
export function readsWhatItWrites(kernel: Kernel, n: number): boolean {
  const reads = (e: Expr, at: string | undefined): boolean => {
    if (e.kind === 'load') return e.operand !== n || e.index.map(showIndex).join() === at
    return e.kind !== 'call' || e.args.every((arg) => reads(arg, at))
  }
  return (
    kernel.definitions.every((definition) => reads(definition.body, undefined)) &&
    kernel.outputs.every((output) => reads(output.value, output.operand === n ? output.index.map(showIndex).join() : undefined))
  )
}
