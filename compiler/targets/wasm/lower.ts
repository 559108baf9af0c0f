// A plan as a WASM program: memory is [loop tables][arena][tensors][session states …], every kernel operand becomes an address,
// and a loop over instances reads the addresses of its weights and states from a table.

import type { OperandSource } from '../../kernel/types.ts'
import { isPerInstance } from '../../kernel/program.ts'
import type { KernelStep } from '../../kernel/steps.ts'
import { LlamacError } from '../../../runtime/error.ts'
import { argumentKey, scratchKey, valueKey } from '../../plan/lifetimes.ts'
import type { EntryPlan, Plan } from '../../plan/plan.ts'
import type { VariantContents } from '../../artifact/write.ts'
import { joinOf, leastRows } from '../../plan/share.ts'
import { partsOf } from '../../schedule/loops.ts'
import { type Address, control, type Step, type WasmProgram } from './program.ts'

type WasmContents = Extract<VariantContents, { target: 'wasm' }>

export interface LoweredWasm {
  readonly program: WasmProgram
  readonly memory: WasmContents['memory']
  readonly entries: WasmContents['entries']
  /** For the variants with threads. */
  readonly threads: NonNullable<WasmContents['threads']>
}

const alignment = 256
const align = (bytes: number): number => Math.ceil(bytes / alignment) * alignment
/** What 32-bit addresses reach; a program that needs more has 64-bit ones ('wide'). */
export const narrowBytes = 2 ** 32
/** What engines allow of a memory with 64-bit addresses. */
const mostBytes = 2 ** 34
const gibibytes = (bytes: number): string => (bytes / 2 ** 30).toFixed(1)

/** Address 0 stays free: a negative index may reach below an operand's start, never below the memory's. Threads meet there too. */
const firstAddress: number = control.end

interface Table {
  readonly address: number
  readonly rows: readonly (readonly number[])[]
}

/**
 * E_MEMORY_TOO_LARGE when one session does not fit; with `fits: false` it need not, and nobody can run the program. `wide` forces
 * addresses of 64 bits on a program that needs none.
 */
export function lowerWasm(plan: Plan, options: { readonly fits?: boolean; readonly wide?: boolean } = {}): LoweredWasm {
  const narrow = place(plan, { ...options, wide: false })
  return options.wide || narrow.memory.statesBase + narrow.memory.stateBytes > narrowBytes
    ? place(plan, { ...options, wide: true })
    : narrow
}

function place(plan: Plan, { fits = true, wide }: { readonly fits?: boolean; readonly wide: boolean }): LoweredWasm {
  const addressBytes = wide ? 8 : 4
  const tables: Table[] = []
  const tableBytes = plan.entries.reduce(
    (sum, { program }) =>
      sum +
      program.steps.reduce(
        (bytes, step) => bytes + (step.kind === 'loop' ? align(slotsOf(step).length * step.order.length * addressBytes) : 0),
        0,
      ),
    0,
  )
  let next = firstAddress
  const arenaBase = align(firstAddress + tableBytes)
  const tensors: number[] = []
  let address = align(arenaBase + plan.arenaBytes)
  for (const { bytes } of plan.layout.tensors) {
    tensors.push(address)
    address = align(address + bytes)
  }
  const statesBase = address
  const needed = statesBase + plan.layout.stateBytes
  if (fits && !(needed <= mostBytes)) {
    throw new LlamacError(
      'E_MEMORY_TOO_LARGE',
      `the model needs ${gibibytes(needed)} GiB, WASM has ${gibibytes(mostBytes)} GiB: ${gibibytes(statesBase - arenaBase - plan.arenaBytes)} for weights (use --quant), ` +
        `${gibibytes(plan.arenaBytes)} for intermediate values (--max-seq), ${gibibytes(plan.layout.stateBytes)} for states (--ctx)`,
    )
  }

  const inArena = (entry: EntryPlan, key: string): Address => {
    const offset = offsetIn(entry, key)
    return offset < plan.ownFrom ? { base: 'absolute', offset: arenaBase + offset } : { base: 'own', offset: offset - plan.ownFrom }
  }

  const fixed = (entry: EntryPlan, source: OperandSource): Address => {
    switch (source.kind) {
      case 'value':
        return inArena(entry, valueKey(source.id))
      case 'argument':
        return inArena(entry, argumentKey(source.name))
      case 'weight':
        return { base: 'absolute', offset: tensors[plan.layout.tensor(source.path)]! }
      case 'constant':
        return { base: 'absolute', offset: tensors[plan.layout.tensor(`table:${source.id}`)]! }
      case 'state':
        return { base: 'states', offset: plan.layout.states[plan.layout.state(source.path)]!.offset }
    }
  }

  const lowerSteps = (entry: EntryPlan, steps: readonly KernelStep[], slots: readonly string[]): Step[] =>
    steps.flatMap((step): Step[] => {
      if (step.kind === 'loop') return [lowerLoop(entry, step)]
      const kernels = step.kind === 'kernel' ? [step.kernel] : step.kernels
      return kernels.flatMap((kernel): Step[] => {
        const fn = plan.functions.get(kernel.name)!
        let scratch = 0
        const operands = fn.operands.map((operand): Address => {
          if (operand.memory.kind === 'scratch') return inArena(entry, scratchKey(kernel.name, scratch++))
          const { source } = kernel.operands[operand.memory.operand]!
          if (isPerInstance(source)) {
            return { base: source.kind === 'state' ? 'states' : 'absolute', slot: slots.indexOf(slotKey(source)) }
          }
          return fixed(entry, source)
        })
        return partsOf(fn).flatMap((part): Step[] => {
          const name = part === fn ? kernel.name : joinOf(kernel.name)
          const call: Step = {
            kind: 'call',
            kernel: part.name,
            operands,
            share: entry.shares.get(name)!,
            least: leastRows(kernel, part, entry.program.symbols),
            ...(part === fn ? {} : { joins: true }),
          }
          return entry.barriers.has(name) ? [{ kind: 'barrier' }, call] : [call]
        })
      })
    })

  const lowerLoop = (entry: EntryPlan, step: Extract<KernelStep, { kind: 'loop' }>): Step => {
    const slots = slotsOf(step)
    const here = step.groups.map((group) => new Set(slotsOf({ ...step, groups: [group] })))
    const rows = step.order.map((group, i) =>
      slots.map((slot) => {
        if (!here[group]!.has(slot)) return 0
        const [kind, path] = [slot[0], slot.slice(1).replace('[*]', `[${i}]`)]
        if (kind === 'v') return arenaBase + offsetIn(entry, valueKey(path))
        return kind === 's' ? plan.layout.states[plan.layout.state(path)]!.offset : tensors[plan.layout.tensor(path)]!
      }),
    )
    const table = next
    next = align(next + slots.length * rows.length * addressBytes)
    tables.push({ address: table, rows })
    return {
      kind: 'loop',
      order: step.order,
      groups: step.groups.map((group) => lowerSteps(entry, group, slots)),
      table,
      slots: slots.length,
    }
  }

  const entries: Record<string, WasmContents['entries'][string]> = {}
  const programs = plan.entries.map((entry) => {
    const { info, program } = entry
    const symbols = info.symbols.map(({ name }) => name)
    entries[info.name] = {
      export: info.name,
      symbols,
      arguments: Object.fromEntries(
        info.arguments.flatMap((argument) =>
          argument.kind === 'tensor' ? [[argument.name, arenaBase + offsetIn(entry, argumentKey(argument.name))]] : [],
        ),
      ),
      results: program.results.map((source) => {
        const place = fixed(entry, source)
        if (!('offset' in place) || place.base !== 'absolute') throw new Error('internal: a result that is not in the arena')
        return place.offset
      }),
    }
    return { export: info.name, symbols, steps: lowerSteps(entry, program.steps, []) }
  })
  const addressesOf = (rows: Table['rows']): ArrayBuffer =>
    wide ? BigInt64Array.from(rows.flat(), BigInt).buffer : Int32Array.from(rows.flat()).buffer
  const data = tables.map(({ address, rows }) => ({ address, bytes: new Uint8Array(addressesOf(rows)) }))
  return {
    program: {
      kernels: [...new Set(plan.functions.values())].flatMap(partsOf),
      entries: programs,
      data,
      memoryBytes: statesBase,
      ownBase: arenaBase + plan.ownFrom,
      wide,
    },
    memory: { tensors, stateBytes: plan.layout.stateBytes, statesBase, arenaBase, arenaBytes: plan.arenaBytes, dataBytes: tableBytes },
    entries,
    threads: { mailbox: control.mailbox, ownBase: arenaBase + plan.ownFrom, ownBytes: plan.arenaBytes - plan.ownFrom },
  }
}

function offsetIn(entry: EntryPlan, key: string): number {
  const offset = entry.arena.offsets.get(key)
  if (offset === undefined) throw new Error(`internal: ${entry.info.name} has no place for ${key}`)
  return offset
}

const slotKey = (source: OperandSource): string => `${source.kind[0]}${'path' in source ? source.path : 'id' in source ? source.id : ''}`

/** Weights, states and kept values of the instances that a loop reads or writes, as `w<path>`, `s<path>` and `v<id>`. */
function slotsOf(step: Extract<KernelStep, { kind: 'loop' }>): string[] {
  const found = new Set<string>()
  const visit = (steps: readonly KernelStep[]): void => {
    for (const each of steps) {
      if (each.kind === 'loop') throw new Error('internal: a loop inside a loop over instances')
      const kernels = each.kind === 'kernel' ? [each.kernel] : each.kernels
      for (const { operands } of kernels) {
        for (const { source } of operands) if (isPerInstance(source)) found.add(slotKey(source))
      }
    }
  }
  for (const group of step.groups) visit(group)
  return [...found].sort()
}
