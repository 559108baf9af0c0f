// What a loop function reads and writes, counted exactly: every address that any invocation of any workgroup touches, at given symbols.
// Only what addresses, bounds and conditions depend on is computed. Costs some 50 ns an access: for tests and for tables of
// one layer. Speed on a GPU is judged by this: a distinct byte must come from memory once, a load again may come from a cache.

import { type Count, evaluateCount } from './count.ts'
import { combine, type Value } from './evaluate-ops.ts'
import type { LoopExpr, LoopFunction, LoopStmt, LoopType } from './loops.ts'
import { hasStatement, walkLoopExpr, walkLoops } from './walk-loops.ts'

/** Of one buffer operand, in bytes. */
export interface Traffic {
  /** All accesses. */
  readonly loaded: number
  readonly stored: number
  /** Each byte once. */
  readonly read: number
  readonly written: number
}

export interface TrafficCall {
  readonly symbols: Readonly<Record<string, number>>
  /** Contents of operands that addresses depend on; words are 0 elsewhere. */
  readonly memory?: readonly (Int32Array | undefined)[]
  /** Of more workgroups only so many are counted, evenly spread, and accesses multiplied; `read` and `written` are 0 then. */
  readonly mostGroups?: number
}

function ones(bits: number): number {
  let count = 0
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++
  return count
}

/** The halves of words that were touched. */
class Marks {
  #bits = new Uint32Array(1024)
  count = 0
  /** `halves`: at most eight. */
  add(at: number, halves: number): void {
    if ((at + halves) >>> 5 >= this.#bits.length) {
      const more = new Uint32Array(Math.max(2 * this.#bits.length, ((at + halves) >>> 5) + 1))
      more.set(this.#bits)
      this.#bits = more
    }
    const [place, bits] = [at & 31, (1 << halves) - 1]
    const before = this.#bits[at >>> 5]!
    const after = (before | (bits << place)) >>> 0
    if (after !== before) {
      this.#bits[at >>> 5] = after
      this.count += ones(after ^ before)
    }
    if (place + halves > 32) for (let i = at + 32 - place; i < at + halves; i++) this.add(i, 1)
  }
}

/** How many halves of words an access touches, and how many one step of its address is. */
function extent(type: LoopType, halves = false): { readonly halves: number; readonly unit: 1 | 2 } {
  const unit = halves ? 1 : 2
  return { halves: (type.endsWith('x4') ? 4 : 1) * unit, unit }
}

type Get = () => Value
type Run = () => void
type Step = () => Generator<void, void>

/** What counts nothing and is read by nothing is left out, with the loops around it. */
const nothing: Run = () => undefined

function inOrder(runs: readonly Run[]): Run {
  const some = runs.filter((run) => run !== nothing)
  if (some.length <= 1) return some[0] ?? nothing
  return () => {
    for (const run of some) run()
  }
}

/** By operand of the function; undefined for scratch memory. Rows of WASM's functions are all taken by one call. */
export function countTraffic(
  fn: LoopFunction,
  { symbols, memory = [], mostGroups = Number.POSITIVE_INFINITY }: TrafficCall,
): (Traffic | undefined)[] {
  const totals = fn.operands.map(({ memory: { kind } }) =>
    kind === 'scratch' ? undefined : { loaded: 0, stored: 0, read: new Marks(), written: new Marks() },
  )
  const groups = fn.grid.reduce((product, count) => product * evaluateCount(count, symbols), 1)
  const counted = Math.min(groups, mostGroups)
  const marks = counted === groups
  const { needed, kept } = whatCountsNeed(fn, marks)
  /** How often what is counted now happens. */
  let times = 1
  const slots = new Map<string, number>()
  let values: Value[] = []
  /** Scratch memory that addresses depend on. */
  let scratch: (Int32Array | undefined)[] = []
  const slot = (name: string): number => {
    const known = slots.get(name) ?? slots.size
    slots.set(name, known)
    return known
  }
  const size = (count: Count | undefined): number => evaluateCount(count ?? [], symbols)
  const builtins: Record<string, number> = { from: 0, to: fn.rows ? size(fn.rows.count) : 0 }

  function value(e: LoopExpr): Get {
    switch (e.kind) {
      case 'const':
        return () => e.value
      case 'local': {
        const at = slot(e.name)
        return () => values[at]!
      }
      case 'symbol': {
        const known = symbols[e.name]
        if (known === undefined) throw new Error(`internal: no value for the symbol ${e.name}`)
        return () => known
      }
      case 'builtin':
        return () => builtins[e.name]!
      case 'load': {
        const at = address(e)
        const words = memory[e.operand]
        if (kept.has(e.operand)) return () => scratch[e.operand]![at()]!
        return () => words?.[at()] ?? 0
      }
      case 'op': {
        const apply = combine(
          e.op,
          e.args.map((arg) => arg.type),
        )
        const [a, b, c] = e.args.map(value) as [Get, Get?, Get?]
        if (!b) return () => apply(a())
        if (!c) return () => apply(a(), b())
        return () => apply(a(), b(), c())
      }
    }
  }

  function address({ at, offset }: { readonly at: LoopExpr; readonly offset: number }): () => number {
    const base = value(at)
    return () => (base() as number) + offset
  }

  /** Notes the loads of an expression. */
  function loads(...exprs: readonly LoopExpr[]): Run {
    const found: Run[] = []
    for (const e of exprs) {
      walkLoopExpr(e, (part) => {
        const total = part.kind === 'load' ? totals[part.operand] : undefined
        if (!total || part.kind !== 'load') return
        const at = address(part)
        const { halves, unit } = extent(part.type, part.halves)
        found.push(() => {
          total.loaded += 2 * halves * times
          if (marks) total.read.add(at() * unit, halves)
        })
      })
    }
    return inOrder(found)
  }

  /** Whether something is left in scratch memory that others depend on. */
  function leaves(s: LoopStmt): boolean {
    return hasStatement([s], (each) => each.kind === 'store' && kept.has(each.operand))
  }

  function statement(s: LoopStmt): Run {
    switch (s.kind) {
      case 'let':
      case 'subgroup':
      case 'uniform':
      case 'set': {
        const note = loads(s.value)
        if (!needed.has(s.name)) return note
        const [get, at] = [value(s.value), slot(s.name)]
        return () => {
          note()
          values[at] = get()
        }
      }
      case 'store': {
        const note = loads(s.at, s.value)
        const total = totals[s.operand]
        const at = address(s)
        if (kept.has(s.operand)) {
          const get = value(s.value)
          return () => {
            note()
            scratch[s.operand]![at()] = get() as number
          }
        }
        if (!total) return note
        const { halves, unit } = extent(s.value.type, s.halves)
        return () => {
          note()
          total.stored += 2 * halves * times
          if (marks) total.written.add(at() * unit, halves)
        }
      }
      case 'loop': {
        const [note, from, to, at, run] = [loads(s.from, s.to), value(s.from), value(s.to), slot(s.variable), block(s.body)]
        if (run === nothing) return note
        const changes = (each: LoopStmt): boolean => leaves(each) || (each.kind === 'set' && needed.has(each.name))
        const alike = !marks && !needed.has(s.variable) && !hasStatement(s.body, changes)
        return () => {
          note()
          const end = to() as number
          if (alike) {
            const trips = Math.ceil((end - (from() as number)) / s.step)
            if (trips <= 0) return
            times *= trips
            run()
            times /= trips
            return
          }
          for (let k = from() as number; k < end; k += s.step) {
            values[at] = k
            run()
          }
        }
      }
      case 'if': {
        const [note, condition, yes, no] = [loads(s.condition), value(s.condition), block(s.yes), block(s.no ?? [])]
        if (yes === nothing && no === nothing) return note
        return () => {
          note()
          if (condition()) yes()
          else no()
        }
      }
      case 'barrier':
        return nothing
    }
  }

  function block(body: readonly LoopStmt[]): Run {
    return inOrder(body.map(statement))
  }

  /** Statements with barriers, where invocations wait for what others leave in scratch memory. */
  function stepped(body: readonly LoopStmt[]): Step {
    const list = body.map((s) => (waits(s) ? { step: step(s) } : { run: statement(s) }))
    return function* () {
      for (const each of list) {
        if (each.step) yield* each.step()
        else each.run()
      }
    }
  }

  function step(s: LoopStmt): Step {
    if (s.kind === 'loop' && leaves(s)) {
      const [note, from, to, at, inside] = [loads(s.from, s.to), value(s.from), value(s.to), slot(s.variable), stepped(s.body)]
      return function* () {
        note()
        const end = to() as number
        for (let k = from() as number; k < end; k += s.step) {
          values[at] = k
          yield* inside()
        }
      }
    }
    if (s.kind === 'if' && leaves(s)) {
      const [note, condition, yes, no] = [loads(s.condition), value(s.condition), stepped(s.yes), stepped(s.no ?? [])]
      return function* () {
        note()
        yield* condition() ? yes() : no()
      }
    }
    // Once all have come here nothing inside waits for what others leave.
    const own = statement(s)
    return function* () {
      yield
      own()
    }
  }

  /** The invocations of a workgroup in turn, between two barriers each. */
  function lockStep(body: Step): void {
    scratch = fn.operands.map(({ memory }, i) => (memory.kind === 'scratch' && kept.has(i) ? new Int32Array(memory.words) : undefined))
    let left = Array.from({ length: fn.workgroup }, (_, invocation) => ({ invocation, own: [] as Value[], steps: body() }))
    while (left.length > 0) {
      left = left.filter(({ invocation, own, steps }) => {
        values = own
        builtins['invocation'] = invocation
        return !steps.next().done
      })
    }
  }

  const together = kept.size > 0 ? stepped(fn.body) : undefined
  const run = together ? nothing : block(fn.body)
  const [x, y] = [0, 1].map((d) => size(fn.grid[d])) as [number, number]
  for (let n = 0; n < counted; n++) {
    const flat = marks ? n : Math.floor(((n + 0.5) * groups) / counted)
    Object.assign(builtins, { group_x: flat % x, group_y: Math.floor(flat / x) % y, group_z: Math.floor(flat / (x * y)) })
    if (together) lockStep(together)
    else for (builtins['invocation'] = 0; builtins['invocation'] < fn.workgroup; builtins['invocation']++) run()
  }
  const all = (bytes: number): number => Math.round((bytes * groups) / Math.max(1, counted))
  return totals.map(
    (total) =>
      total && { loaded: all(total.loaded), stored: all(total.stored), read: 2 * total.read.count, written: 2 * total.written.count },
  )
}

const waits = (s: LoopStmt): boolean => hasStatement([s], ({ kind }) => kind === 'barrier' || kind === 'uniform')

/** Locals, and scratch operands, that bounds and conditions depend on, and addresses, where bytes are told apart. */
function whatCountsNeed(
  { body, operands }: LoopFunction,
  addresses: boolean,
): { readonly needed: ReadonlySet<string>; readonly kept: ReadonlySet<number> } {
  const needed = new Set<string>()
  const kept = new Set<number>()
  const need = (e: LoopExpr): void =>
    walkLoopExpr(e, (part) => {
      if (part.kind === 'local') needed.add(part.name)
      else if (part.kind === 'load' && operands[part.operand]!.memory.kind === 'scratch') kept.add(part.operand)
    })
  walkLoops(
    body,
    (e) => addresses && e.kind === 'load' && operands[e.operand]!.memory.kind === 'buffer' && need(e.at),
    (s) => {
      if (addresses && s.kind === 'store' && operands[s.operand]!.memory.kind === 'buffer') need(s.at)
      else if (s.kind === 'loop') [s.from, s.to].forEach(need)
      else if (s.kind === 'if') need(s.condition)
    },
  )
  for (let before = -1; before !== needed.size + kept.size; ) {
    before = needed.size + kept.size
    walkLoops(
      body,
      (e) => e.kind === 'load' && kept.has(e.operand) && need(e.at),
      (s) => {
        if ((s.kind === 'let' || s.kind === 'set' || s.kind === 'subgroup' || s.kind === 'uniform') && needed.has(s.name)) need(s.value)
        if (s.kind === 'store' && kept.has(s.operand)) [s.at, s.value].forEach(need)
      },
    )
  }
  return { needed, kept }
}
