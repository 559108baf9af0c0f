// Readable text of kernels and programs, for `--emit kernels`, golden tests and people who look for a missed fusion.

import { show } from '../../dsl/affine.ts'
import { showExpr } from './expression.ts'
import { showIndex } from './index-walk.ts'
import { classify } from './shape.ts'
import type { KernelProgram, KernelStep } from './program.ts'
import type { Index, Kernel, OperandSource } from './types.ts'

export const showSource = (source: OperandSource): string =>
  `${source.kind} ${'id' in source ? source.id : 'path' in source ? source.path : source.name}`

/** One kernel: operands, definitions `%n`, outputs. */
export function printKernel(kernel: Kernel): string {
  const extents = kernel.axes.map((axis) => `${axis.id} < ${show(axis.extent)}`).join(', ')
  const at = (operand: number, index: readonly Index[]): string => `@${operand}[${index.map(showIndex).join(', ')}]`
  return [
    `${classify(kernel)} ${kernel.name} (${extents})`,
    ...kernel.operands.map(
      ({ source, dims, format, layout, matrix, access }, i) =>
        `  @${i} = ${showSource(source)} [${dims.map(show).join(', ')}] ${format}${layout === 'r8' ? ` r8(${matrix!.rows} x ${matrix!.k})` : ''} ${access}`,
    ),
    ...kernel.definitions.map(
      ({ free, over, combine, body }, i) =>
        `  %${i}[${free.join(', ')}] = ${combine ? `${combine}[${over.join(', ')}] ` : ''}${showExpr(body)}`,
    ),
    ...kernel.outputs.map(
      (output) =>
        `  ${at(output.operand, output.index)} = ${showExpr(output.value)}${output.guard ? ` where ${showExpr(output.guard)}` : ''}`,
    ),
    ...(kernel.select
      ? [
          `  top ${kernel.select.k} along ${kernel.select.axis} of ${showExpr(kernel.select.value)}: ` +
            [kernel.select.values, kernel.select.indices]
              .flatMap((target) => (target ? [at(target.operand, target.index)] : ['-']))
              .join(', '),
        ]
      : []),
  ].join('\n')
}

const indent = (text: string): string =>
  text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')

function printStep(step: KernelStep, i: number): string {
  const after = step.dependsOn.length > 0 ? ` after ${step.dependsOn.join(', ')}` : ''
  if (step.kind === 'kernel') return `#${i}${after}: ${printKernel(step.kernel)}`
  if (step.kind === 'launch') return `#${i}${after}: launch\n${step.kernels.map((kernel) => indent(printKernel(kernel))).join('\n')}`
  const groups = step.groups.map((steps, group) => indent(`group ${group}\n${indent(steps.map(printStep).join('\n'))}`)).join('\n')
  return `#${i}${after}: loop ${step.array} [${step.order.join(', ')}] carries ${step.carried.join(', ')}\n${groups}`
}

/** A whole entry. */
export const printProgram = (program: KernelProgram): string =>
  [`entry ${program.entry} -> ${program.results.map(showSource).join(', ')}`, ...program.steps.map(printStep)].join('\n')
