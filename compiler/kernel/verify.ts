// What holds for every kernel and program; tests run this after each pass. Kernels:
//   1. axis ids are distinct, every axis that occurs is declared, every divisor is a positive integer, indices are canonical
//   2. operands exist, an index has as many parts as its operand has dims, a load has its operand's dtype
//   3. what is loaded is not write-only, what is stored to is not read-only, and the other way round
//   4. a definition reads earlier ones only; `free` is what its body depends on without `over`; `combine` iff `over`
//   5. the free axes of a value are axes of the place that uses it; an output's index and value run over its axes
//   6. an r8 operand's matrix has as many elements as its dims
// Programs:
//   7. `dependsOn` names earlier steps; a value is written before it is read
//   8. two steps that touch one source, one of them writing, are ordered by a path of dependencies

import type { AxisId, Expr, Index, Kernel } from './types.ts'
import { axesOfExpr, walkExpr } from './expression.ts'
import { axesOfIndex, showIndex, walkIndex } from './index-walk.ts'
import { simplifyIndex } from './index-map.ts'
import { sourceKey, type KernelProgram, type KernelStep } from './program.ts'
import type { Bounds } from '../../dsl/affine.ts'

/** Broken invariants of a kernel, in words. Empty: sound. */
export function verifyKernel(kernel: Kernel, symbols: Bounds): string[] {
  const faults: string[] = []
  const check = (holds: boolean, text: string): void => void (holds || faults.push(`${kernel.name}: ${text}`))
  const extents = new Map(kernel.axes.map((axis) => [axis.id, axis.extent]))
  check(extents.size === kernel.axes.length, 'two axes have one id')
  const read = new Set<number>()
  const written = new Set<number>()

  const checkIndex = (index: Index): void => {
    walkIndex(
      index,
      (part) => {
        if (part.kind === 'axis') check(extents.has(part.axis), `the axis ${part.axis} is not declared`)
        if (part.kind === 'div' || part.kind === 'mod') check(Number.isInteger(part.by) && part.by > 0, `divides by ${part.by}`)
      },
      () => {},
    )
    if (faults.length === 0)
      check(showIndex(simplifyIndex(index, { extents, symbols })) === showIndex(index), `${showIndex(index)} is not canonical`)
  }
  const checkExpr = (e: Expr, axes: ReadonlySet<AxisId>, before: number, where: string): void => {
    walkExpr(e, (part) => {
      if (part.kind === 'index') checkIndex(part.index)
      if (part.kind === 'load') {
        const operand = kernel.operands[part.operand]
        check(
          operand !== undefined && operand.dims.length === part.index.length && operand.dtype === part.dtype,
          `${where} loads @${part.operand} wrongly`,
        )
        read.add(part.operand)
        part.index.forEach(checkIndex)
      }
      if (part.kind === 'value') {
        const definition = kernel.definitions[part.definition]
        check(part.definition < before && definition?.dtype === part.dtype, `${where} reads %${part.definition}`)
        for (const axis of definition?.free ?? []) check(axes.has(axis), `${where} reads %${part.definition} without ${axis}`)
      }
    })
    for (const axis of axesOfExpr(e, (id) => kernel.definitions[id]?.free ?? [])) check(axes.has(axis), `${where} depends on ${axis}`)
  }
  kernel.definitions.forEach((definition, id) => {
    const { body, over, free } = definition
    check((definition.combine !== undefined) === over.length > 0, `%${id} has ${definition.combine} over ${over.length} axes`)
    check(
      over.every((axis) => !free.includes(axis)),
      `%${id} is free over an axis it reduces`,
    )
    const inside = new Set([...free, ...over])
    checkExpr(body, inside, id, `%${id}`)
    const needed = axesOfExpr(body, (other) => kernel.definitions[other]?.free ?? [])
    check(
      free.every((axis) => needed.has(axis)),
      `%${id} is free over an axis it does not depend on`,
    )
  })
  kernel.outputs.forEach((output, i) => {
    const axes = new Set(output.axes)
    checkExpr(output.value, axes, kernel.definitions.length, `output ${i}`)
    if (output.guard) checkExpr(output.guard, axes, kernel.definitions.length, `guard ${i}`)
    check(kernel.operands[output.operand]?.dims.length === output.index.length, `output ${i} has the wrong rank`)
    written.add(output.operand)
    for (const index of output.index) {
      checkExpr({ kind: 'index', index }, axes, kernel.definitions.length, `the place of output ${i}`)
      for (const axis of axesOfIndex(index)) check(axes.has(axis), `the place of output ${i} depends on ${axis}`)
    }
  })
  if (kernel.select) {
    checkExpr(kernel.select.value, new Set(extents.keys()), kernel.definitions.length, 'the choice')
    for (const target of [kernel.select.values, kernel.select.indices]) if (target) written.add(target.operand)
  }
  kernel.operands.forEach((operand, i) => {
    const access = read.has(i) ? (written.has(i) ? 'readwrite' : 'read') : written.has(i) ? 'write' : 'none'
    check(access === operand.access, `@${i} is declared ${operand.access}, used ${access}`)
    if (operand.layout === 'r8') {
      const count = operand.dims.reduce((product, dim) => product * dim.const, 1)
      check(operand.matrix !== undefined && operand.matrix.rows * operand.matrix.k === count, `@${i} has a matrix of another size`)
    }
  })
  return faults
}

/** Broken invariants of a program and all its kernels. */
export function verifyProgram(program: KernelProgram): string[] {
  const faults: string[] = []
  const checkList = (steps: readonly KernelStep[], known: ReadonlySet<string>): void => {
    const written = new Set(known)
    const reach: Set<number>[] = []
    steps.forEach((step, i) => {
      const kernels = step.kind === 'kernel' ? [step.kernel] : step.kind === 'launch' ? step.kernels : []
      for (const kernel of kernels) faults.push(...verifyKernel(kernel, program.symbols))
      for (const j of step.dependsOn) if (j >= i) faults.push(`step ${i} depends on the later step ${j}`)
      reach[i] = new Set(step.dependsOn.flatMap((j) => [j, ...(reach[j] ?? [])]))
      const mine = new Set(step.writes.map(sourceKey))
      for (const source of step.reads) {
        const key = sourceKey(source)
        if (source.kind === 'value' && !written.has(key) && !(step.kind === 'loop' && mine.has(key)))
          faults.push(`step ${i} reads ${key} before it is written`)
      }
      const all = new Set([...step.reads.map(sourceKey), ...mine])
      steps.slice(0, i).forEach((earlier, j) => {
        const theirs = new Set(earlier.writes.map(sourceKey))
        const conflict = [...all].some((key) => theirs.has(key)) || earlier.reads.some((source) => mine.has(sourceKey(source)))
        if (conflict && !reach[i]!.has(j)) faults.push(`steps ${j} and ${i} touch one source without an order`)
      })
      if (step.kind === 'loop')
        for (const group of step.groups) checkList(group, new Set([...written, ...step.carried.map((id) => `value:${id}`)]))
      for (const key of mine) written.add(key)
    })
  }
  checkList(program.steps, new Set())
  return faults
}
