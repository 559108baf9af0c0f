// Builds the one module of a program: kernels, the math they use, and entries that call them in order. Kernels stay separate
// functions and rows are handed out in blocks, because V8 replaces Liftoff code between calls only. Memory is imported as
// env.memory; loop tables are data segments. With a shared memory every thread of a team runs the whole entry (SPMD): a run of
// rows in ascending order to each thread, meetings where the program has barriers (threads.ts), tables written once. Nothing
// is optimised by binaryen (see functions.ts).

import binaryen from 'binaryen'
import type { Affine } from '../../graph/types.ts'
import type { Count } from '../../schedule/count.ts'
import type { LoopFunction } from '../../schedule/loops.ts'
import { type AddressType, addressType } from './address-type.ts'
import { emitKernel } from './emit.ts'
import type { Ref } from './expressions.ts'
import { type Address, type EntryProgram, type ModuleOptions, rowBlock, type Step, type WasmProgram } from './program.ts'
import { addSampler } from './sampling.ts'
import { addTakenRows, clearSets, firstSet, TakenNumbers, takenName, turnSets } from './taken-rows.ts'
import { addThreadFunctions, threadFunctions } from './threads.ts'

export interface BuiltModule {
  readonly binary: Uint8Array<ArrayBuffer>
  readonly text?: string
}

const pageBytes = 65536
/** Of an engine's largest memory with 32-bit and with 64-bit addresses: 4 GiB, 16 GiB. */
export const maxPages = { narrow: 65536, wide: 262144 } as const
const { i32 } = binaryen

/** Emits, validates and encodes; throws `internal:` if binaryen finds the module invalid. */
export function buildModule(program: WasmProgram, options: ModuleOptions): BuiltModule {
  const module = new binaryen.Module()
  const all = binaryen.Features
  const features = [
    all.SIMD128,
    all.BulkMemory,
    all.BulkMemoryOpt,
    all.SignExt,
    all.NontrappingFPToInt,
    all.MutableGlobals,
    ...(options.relaxed ? [all.RelaxedSIMD] : []),
    ...(options.shared ? [all.Atomics] : []),
    ...(program.wide ? [all.Memory64] : []),
  ]
  module.setFeatures(features.reduce<number>((set, one) => set | one, 0))
  const shared = options.shared ?? false
  const { wide = false } = program
  const addresses = addressType(module, wide)
  const pages = wide ? maxPages.wide : maxPages.narrow
  // Active segments would be written again by every thread's instance.
  const segments = program.data.map(({ address, bytes }) =>
    shared ? { offset: 0, data: bytes, passive: true } : { offset: addresses.const(address), data: bytes },
  )
  // A program that is only read may be of a model that no memory holds.
  module.setMemory(Math.min(Math.ceil(program.memoryBytes / pageBytes), pages), pages, null, segments, shared, wide, 'memory')
  module.addMemoryImport('memory', 'env', 'memory', shared)
  for (const fn of program.kernels) {
    emitKernel(module, fn, { ...options, wide })
    if (fn.rows) addRowBlocks(module, fn, addresses)
    if (fn.rows && shared) addTakenRows(module, fn, blocksName(fn.name), addresses)
    // Tools call kernels one by one: to time them, and to find the one that computes wrong numbers.
    module.addFunctionExport(fn.rows ? blocksName(fn.name) : fn.name, kernelExport(fn.name))
  }
  const kernels = new Map(program.kernels.map((fn) => [fn.name, fn]))
  if (shared)
    addThreadFunctions(
      module,
      program.data.map(({ address, bytes }, i) => ({ name: String(i), address, bytes: bytes.length })),
      addresses,
    )
  addSampler(module, shared, addresses)
  for (const entry of program.entries) addEntry(module, entry, kernels, program.ownBase, shared, addresses)
  try {
    if (!module.validate()) throw new Error('internal: the WASM module is invalid')
    const binary = module.emitBinary() as Uint8Array<ArrayBuffer>
    return { binary, ...(options.text ? { text: module.emitText() } : {}) }
  } finally {
    module.dispose()
  }
}

/** Under which name a module exports a kernel: no entry can have it. Takes (operands…, rows…, symbols…) as `addEntry` passes them. */
export const kernelExport = (kernel: string): string => `kernel ${kernel}`

const blocksName = (kernel: string): string => `${kernel}.blocks`

/** `kernel.blocks(operands…, from, to, symbols…)` calls the kernel for rows [from, to) in blocks. */
function addRowBlocks(m: binaryen.Module, fn: LoopFunction, { type }: AddressType): void {
  const operands = fn.operands.length
  const [from, until] = [operands, operands + 1]
  const get = (index: number) => m.local.get(index, i32)
  const end = () => m.i32.add(get(from), m.i32.const(Math.max(1, Math.floor(rowBlock / Math.ceil(fn.rows!.unit / 8)))))
  const to = m.select(m.i32.lt_s(end(), get(until)), end(), get(until))
  const args = [
    ...Array.from({ length: operands }, (_, i) => m.local.get(i, type)),
    get(from),
    to,
    ...fn.symbols.map((_, i) => get(until + 1 + i)),
  ]
  const body = m.block(null, [
    m.call(fn.name, args, binaryen.none),
    m.local.set(from, end()),
    m.br('rows', m.i32.lt_s(get(from), get(until))),
  ])
  const params = binaryen.createType(Array.from({ length: until + 1 + fn.symbols.length }, (_, i) => (i < operands ? type : i32)))
  m.addFunction(blocksName(fn.name), params, binaryen.none, [], m.if(m.i32.lt_s(get(from), get(until)), m.loop('rows', body)))
}

/** Locals of an entry: statesBase, the symbols, with threads own, thread, threads, arrived; then a table row and an instance number per loop depth. */
function addEntry(
  m: binaryen.Module,
  entry: EntryProgram,
  kernels: ReadonlyMap<string, LoopFunction>,
  ownBase: number,
  shared: boolean,
  addresses: AddressType,
): void {
  const own = 1 + entry.symbols.length
  const [thread, threads, arrived] = [own + 1, own + 2, own + 3]
  const params = own + (shared ? 4 : 0)
  const vars: binaryen.Type[] = []
  let labels = 0
  const get = (index: number): Ref => m.local.get(index, i32)
  const newLocal = (type: binaryen.Type = i32) => params + vars.push(type) - 1

  const symbol = (name: string): Ref => {
    const index = entry.symbols.indexOf(name)
    if (index < 0) throw new Error(`internal: the entry ${entry.export} has no symbol ${name}`)
    return get(1 + index)
  }

  const size = (affine: Affine): Ref =>
    affine.terms.reduce((sum, [name, factor]) => m.i32.add(sum, m.i32.mul(symbol(name), m.i32.const(factor))), m.i32.const(affine.const))

  const count = (factors: Count): Ref =>
    factors
      .map(({ size: all, divisor }) =>
        divisor === 1 ? size(all) : m.i32.div_s(m.i32.add(size(all), m.i32.const(divisor - 1)), m.i32.const(divisor)),
      )
      .reduce((product, factor) => m.i32.mul(product, factor), m.i32.const(1))

  const address = (at: Address, row: number | undefined): Ref => {
    if ('slot' in at) {
      if (row === undefined) throw new Error('internal: a table slot outside a loop')
      const entryOfTable = addresses.load(at.slot * addresses.bytes, m.local.get(row, addresses.type))
      return at.base === 'states' ? addresses.add(addresses.passed(get(0)), entryOfTable) : entryOfTable
    }
    const offset = (base: number): Ref => addresses.const(base + at.offset)
    if (at.base === 'own') return shared ? addresses.add(addresses.passed(get(own)), offset(0)) : offset(ownBase)
    return at.base === 'states' ? addresses.add(addresses.passed(get(0)), offset(0)) : offset(0)
  }

  /** The count of arrivals that completes the next meeting. */
  const due = (): Ref => m.local.tee(arrived, m.i32.add(get(arrived), get(threads)), i32)
  const wait = (): Ref => m.call(threadFunctions.meet, [due()], binaryen.none)
  const numbers = new TakenNumbers()
  const set = shared ? newLocal() : 0
  const meet = (): Ref[] => {
    numbers.meet()
    return [wait(), ...turnSets(m, set, thread, addresses)]
  }
  const onlyFirst = (work: Ref): Ref => m.if(m.i32.eqz(get(thread)), work)

  const call = (step: Step & { kind: 'call' }, row: number | undefined): Ref => {
    const fn = kernels.get(step.kernel)
    if (!fn) throw new Error(`internal: no kernel ${step.kernel}`)
    if (fn.operands.length !== step.operands.length)
      throw new Error(`internal: ${step.kernel} takes ${fn.operands.length} operands, not ${step.operands.length}`)
    const operands = step.operands.map((at) => address(at, row))
    const symbols = fn.symbols.map(symbol)
    const { rows } = fn
    const run = (from: Ref, to: Ref): Ref => m.call(blocksName(fn.name), [...operands, from, to, ...symbols], binaryen.none)
    // Thread t of n takes rows [count·t/n, count·(t+1)/n).
    const cut = (part: Ref): Ref => m.i32.div_u(m.i32.mul(count(rows!.count), part), get(threads))
    if (shared && rows && step.share === 'split') {
      const number = numbers.take()
      if (number === undefined) return run(cut(get(thread)), cut(m.i32.add(get(thread), m.i32.const(1))))
      const counted = [count(rows.count), m.i32.const(step.least ?? 1), get(thread), get(threads), m.i32.add(get(set), m.i32.const(number))]
      return m.call(takenName(fn.name), [...operands, ...counted, ...symbols], binaryen.none)
    }
    const whole = rows ? run(m.i32.const(0), count(rows.count)) : m.call(fn.name, [...operands, ...symbols], binaryen.none)
    return shared && step.share !== 'each' ? onlyFirst(whole) : whole
  }

  const loop = (step: Step & { kind: 'loop' }): Ref => {
    if (step.order.length === 0) return m.nop()
    const [row, instance] = [newLocal(addresses.type), newLocal()]
    const label = `loop${labels++}`
    return m.block(null, [
      m.local.set(row, addresses.const(step.table)),
      m.local.set(instance, m.i32.const(0)),
      m.loop(
        label,
        m.block(null, [
          ...dispatch(step, instance, label, row),
          m.local.set(row, addresses.add(m.local.get(row, addresses.type), addresses.const(step.slots * addresses.bytes))),
          m.local.set(instance, m.i32.add(get(instance), m.i32.const(1))),
          m.br(label, m.i32.lt_s(get(instance), m.i32.const(step.order.length))),
        ]),
      ),
    ])
  }

  /** The steps of the instance's group: one block per group, entered by a jump table over the instances. */
  const dispatch = (step: Step & { kind: 'loop' }, instance: number, label: string, row: number): Ref[] => {
    const used = [...new Set(step.order)]
    const bodies = numbers.loop(
      used.map((group) => step.groups[group]!),
      (steps) => list(steps, row),
    )
    if (used.length === 1) return bodies[0]!
    const target = (group: number) => `${label}.group${group}`
    const jump = m.switch(step.order.map(target), target(used[0]!), get(instance))
    const done = `${label}.done`
    const nest = used.reduce((inside, group, i) => m.block(null, [m.block(target(group), [inside]), ...bodies[i]!, m.br(done)]), jump)
    return [m.block(done, [nest])]
  }

  const list = (steps: readonly Step[], row: number | undefined): Ref[] =>
    steps.flatMap((step): Ref[] => {
      if (step.kind === 'barrier') return shared ? meet() : []
      return [step.kind === 'call' ? call(step, row) : loop(step)]
    })

  // At the end the others only say that they have arrived; thread 0 returns when all results are there.
  const end = shared
    ? [
        m.if(
          get(thread),
          m.call(threadFunctions.arrive, [due()], binaryen.none),
          m.block(null, [wait(), ...clearSets(m, threads, addresses)]),
        ),
      ]
    : []
  const start = shared ? [m.local.set(set, m.i32.const(firstSet))] : []
  const body = m.block(null, [...start, ...list(entry.steps, undefined), ...end])
  const type = binaryen.createType(Array.from({ length: params }, () => i32))
  m.addFunction(`entry ${entry.export}`, type, binaryen.none, vars, body)
  m.addFunctionExport(`entry ${entry.export}`, entry.export)
}
