// Builds the one module of a program: kernels, the math they use, and entries that call them in order. Kernels stay separate
// functions and rows are handed out in blocks, because V8 replaces Liftoff code between calls only. Memory is imported as
// env.memory; loop tables are data segments. Nothing is optimised by binaryen (see functions.ts).

import binaryen from 'binaryen'
import type { Affine } from '../../graph/types.ts'
import type { LoopFunction } from '../../schedule/loops.ts'
import { emitKernel, type EmitOptions } from './emit.ts'
import type { Ref } from './expressions.ts'
import { type Address, type EntryProgram, rowBlock, type Step, type WasmProgram } from './program.ts'

export interface ModuleOptions extends EmitOptions {
  /** Import a shared memory, for threads. */
  readonly shared?: boolean
  /** Also give the text form. */
  readonly text?: boolean
}

export interface BuiltModule {
  readonly binary: Uint8Array<ArrayBuffer>
  readonly text?: string
}

const pageBytes = 65536
const maxPages = 65536
const { i32 } = binaryen

/** Emits, validates and encodes; throws `internal:` if binaryen finds the module invalid. */
export function buildModule(program: WasmProgram, options: ModuleOptions): BuiltModule {
  const module = new binaryen.Module()
  const all = binaryen.Features
  const features = [
    all.SIMD128, all.BulkMemory, all.SignExt, all.NontrappingFPToInt, all.MutableGlobals,
    ...(options.relaxed ? [all.RelaxedSIMD] : []), ...(options.shared ? [all.Atomics] : []),
  ]
  module.setFeatures(features.reduce<number>((set, one) => set | one, 0))
  const segments = program.data.map(({ address, bytes }) => ({ offset: module.i32.const(address), data: bytes }))
  module.setMemory(Math.ceil(program.memoryBytes / pageBytes), maxPages, null, segments, options.shared ?? false, false, 'memory')
  module.addMemoryImport('memory', 'env', 'memory', options.shared ?? false)
  for (const fn of program.kernels) {
    emitKernel(module, fn, options)
    if (fn.rows) addRowBlocks(module, fn)
  }
  const kernels = new Map(program.kernels.map((fn) => [fn.name, fn]))
  for (const entry of program.entries) addEntry(module, entry, kernels)
  try {
    if (!module.validate()) throw new Error('internal: the WASM module is invalid')
    const binary = module.emitBinary() as Uint8Array<ArrayBuffer>
    return { binary, ...(options.text ? { text: module.emitText() } : {}) }
  } finally {
    module.dispose()
  }
}

const blocksName = (kernel: string): string => `${kernel}.blocks`

/** `kernel.blocks(operands…, count, symbols…)` calls the kernel for rows [0, count) in blocks. */
function addRowBlocks(m: binaryen.Module, fn: LoopFunction): void {
  const [operands, count] = [fn.operands.length, fn.operands.length]
  const from = count + 1 + fn.symbols.length
  const get = (index: number) => m.local.get(index, i32)
  const end = () => m.i32.add(get(from), m.i32.const(rowBlock))
  const to = m.select(m.i32.lt_s(end(), get(count)), end(), get(count))
  const args = [
    ...Array.from({ length: operands }, (_, i) => get(i)), get(from), to,
    ...fn.symbols.map((_, i) => get(count + 1 + i)),
  ]
  const body = m.block(null, [
    m.call(fn.name, args, binaryen.none),
    m.local.set(from, end()),
    m.br('rows', m.i32.lt_s(get(from), get(count))),
  ])
  const params = binaryen.createType(Array.from({ length: from }, () => i32))
  m.addFunction(blocksName(fn.name), params, binaryen.none, [i32], m.if(m.i32.lt_s(m.i32.const(0), get(count)), m.loop('rows', body)))
}

/** Locals of an entry: statesBase, the symbols, then a table row and an instance number per loop depth. */
function addEntry(m: binaryen.Module, entry: EntryProgram, kernels: ReadonlyMap<string, LoopFunction>): void {
  const params = 1 + entry.symbols.length
  const vars: binaryen.Type[] = []
  let labels = 0
  const get = (index: number): Ref => m.local.get(index, i32)
  const newLocal = () => params + vars.push(i32) - 1

  const symbol = (name: string): Ref => {
    const index = entry.symbols.indexOf(name)
    if (index < 0) throw new Error(`internal: the entry ${entry.export} has no symbol ${name}`)
    return get(1 + index)
  }

  const size = (affine: Affine): Ref =>
    affine.terms.reduce((sum, [name, factor]) => m.i32.add(sum, m.i32.mul(symbol(name), m.i32.const(factor))), m.i32.const(affine.const))

  const address = (at: Address, row: number | undefined): Ref => {
    if ('slot' in at) {
      if (row === undefined) throw new Error('internal: a table slot outside a loop')
      const entryOfTable = m.i32.load(at.slot * 4, 4, get(row))
      return at.base === 'states' ? m.i32.add(get(0), entryOfTable) : entryOfTable
    }
    return at.base === 'states' ? m.i32.add(get(0), m.i32.const(at.offset)) : m.i32.const(at.offset)
  }

  const call = (step: Step & { kind: 'call' }, row: number | undefined): Ref => {
    const fn = kernels.get(step.kernel)
    if (!fn) throw new Error(`internal: no kernel ${step.kernel}`)
    if (fn.operands.length !== step.operands.length) throw new Error(`internal: ${step.kernel} takes ${fn.operands.length} operands, not ${step.operands.length}`)
    const operands = step.operands.map((at) => address(at, row))
    const symbols = fn.symbols.map(symbol)
    if (!fn.rows) return m.call(fn.name, [...operands, ...symbols], binaryen.none)
    return m.call(blocksName(fn.name), [...operands, size(fn.rows.count), ...symbols], binaryen.none)
  }

  const loop = (step: Step & { kind: 'loop' }): Ref => {
    if (step.order.length === 0) return m.nop()
    const [row, instance] = [newLocal(), newLocal()]
    const label = `loop${labels++}`
    const increase = (index: number, by: number) => m.local.set(index, m.i32.add(get(index), m.i32.const(by)))
    return m.block(null, [
      m.local.set(row, m.i32.const(step.table)),
      m.local.set(instance, m.i32.const(0)),
      m.loop(label, m.block(null, [
        ...dispatch(step, instance, label, row),
        increase(row, step.slots * 4),
        increase(instance, 1),
        m.br(label, m.i32.lt_s(get(instance), m.i32.const(step.order.length))),
      ])),
    ])
  }

  /** The steps of the instance's group: one block per group, entered by a jump table over the instances. */
  const dispatch = (step: Step & { kind: 'loop' }, instance: number, label: string, row: number): Ref[] => {
    const used = [...new Set(step.order)]
    if (used.length === 1) return list(step.groups[used[0]!]!, row)
    const target = (group: number) => `${label}.group${group}`
    const jump = m.switch(step.order.map(target), target(used[0]!), get(instance))
    const done = `${label}.done`
    const nest = used.reduce((inside, group) => {
      return m.block(null, [m.block(target(group), [inside]), ...list(step.groups[group]!, row), m.br(done)])
    }, jump)
    return [m.block(done, [nest])]
  }

  const list = (steps: readonly Step[], row: number | undefined): Ref[] => steps.map((step) => (step.kind === 'call' ? call(step, row) : loop(step)))

  const body = m.block(null, list(entry.steps, undefined))
  const type = binaryen.createType(Array.from({ length: params }, () => i32))
  m.addFunction(`entry ${entry.export}`, type, binaryen.none, vars, body)
  m.addFunctionExport(`entry ${entry.export}`, entry.export)
}
