// How much a call has to do, counted from its kernels: multiply-adds (those of 8-bit activations apart, since machines do more
// of them) and the bytes of weights, states and tables that it must read or write at least once. Values between kernels are left
// out: they stay in caches. This is what measured times are compared with; nothing here is measured.

import { type Binding, evaluate } from '../../dsl/affine.ts'
import { type FormatName, formats, isFormatName } from '../formats/index.ts'
import { showExpr, walkExpr } from './expression.ts'
import { axesOfIndex } from './index-walk.ts'
import { launchesOf } from './launches.ts'
import { byteWords, isByteFormat } from '../schedule/activation-blocks.ts'
import type { KernelProgram } from './program.ts'
import type { AxisId, Expr, Kernel, Operand } from './types.ts'

export interface Work {
  /** Multiply-adds of f32, and of bytes. */
  readonly madds: number
  readonly dots: number
  readonly bytes: number
  /** Bytes of arguments, results and values between kernels. */
  readonly values: number
}

export const noWork: Work = { madds: 0, dots: 0, bytes: 0, values: 0 }

export const sumWork = (a: Work, b: Work): Work => ({
  madds: a.madds + b.madds,
  dots: a.dots + b.dots,
  bytes: a.bytes + b.bytes,
  values: a.values + b.values,
})

export const timesWork = ({ madds, dots, bytes, values }: Work, times: number): Work => ({
  madds: times * madds,
  dots: times * dots,
  bytes: times * bytes,
  values: times * values,
})

const bytesPerElement = ({ format, layout }: Operand): number => {
  if (isByteFormat(format)) return byteWords(format, 4)
  if (format === 's8') return 34 / 32
  const name: FormatName = isFormatName(format) ? format : 'f32'
  const { values, bytes, r8Block } = formats[name]
  return layout === 'r8' ? r8Block.bytes / (8 * r8Block.k) : bytes / values
}

/** The work of one kernel of one call. */
export function workOf(kernel: Kernel, binding: Binding): Work {
  const extents = new Map(kernel.axes.map(({ id, extent }) => [id, evaluate(extent, binding)]))
  const points = (axes: Iterable<AxisId>): number => [...new Set(axes)].reduce((product, axis) => product * extents.get(axis)!, 1)
  // Distinct accesses by operand: each touches as many elements as its axes have points, together at most all.
  const accesses = kernel.operands.map(() => new Map<string, number>())
  const visit = (e: Expr): void =>
    walkExpr(e, (part) => {
      if (part.kind === 'load') accesses[part.operand]!.set(showExpr(part), points(part.index.flatMap((index) => [...axesOfIndex(index)])))
    })
  let [madds, dots] = [0, 0]
  for (const { body, combine, free, over } of kernel.definitions) {
    visit(body)
    if (combine !== 'sum' || body.kind !== 'call' || body.fn !== 'mul') continue
    let ofBytes = false
    walkExpr(body, (part) => {
      if (part.kind === 'load' && isByteFormat(kernel.operands[part.operand]!.format)) ofBytes = true
    })
    if (ofBytes) dots += points([...free, ...over])
    else madds += points([...free, ...over])
  }
  for (const [i, output] of kernel.outputs.entries()) {
    visit(output.value)
    for (const index of output.index) visit({ kind: 'index', index })
    accesses[output.operand]!.set(`output ${i}`, points(output.axes))
  }
  if (kernel.select) visit(kernel.select.value)
  let [bytes, values] = [0, 0]
  for (const [i, operand] of kernel.operands.entries()) {
    const all = operand.dims.reduce((product, dim) => product * evaluate(dim, binding), 1)
    const touched = [...accesses[i]!.values()].reduce((total, each) => total + each, 0)
    const moved = Math.min(all, touched) * bytesPerElement(operand)
    if (operand.source.kind === 'value' || operand.source.kind === 'argument') values += moved
    else bytes += moved
  }
  return { madds, dots, bytes, values }
}

/** The work of a whole call. */
export const workOfCall = (program: KernelProgram, binding: Binding): Work =>
  launchesOf(program).reduce((sum, { kernel }) => sumWork(sum, workOf(kernel, binding)), noWork)
