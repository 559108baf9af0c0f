// The meaning of the loop IR, executable: an evaluator on 32-bit words, against which both targets are tested. A function is
// turned into closures; with barriers into generators, so that the invocations of a workgroup run in lock step between
// barriers. f32 arithmetic rounds after every operation (madd twice); exp and its kin are correctly rounded, so targets agree
// within a tolerance only. Accesses out of range throw `internal:`. Fresh scratch memory holds NaNs.

import { evaluateCount } from './count.ts'
import { combine, type Value } from './evaluate-ops.ts'
import type { LoopExpr, LoopFunction, LoopStmt, LoopType, SubgroupStmt } from './loops.ts'
import { hasStatement } from './walk-loops.ts'

export interface LoopCall {
  /** Memory of each operand, 4-byte words; scratch operands are allocated where undefined. */
  readonly memory: readonly (Int32Array | Float32Array | undefined)[]
  readonly symbols?: Readonly<Record<string, number>>
  /** Invocations of a subgroup, 4 if left out. */
  readonly subgroup?: number
  /** Row block, for functions with `rows`; default all rows. */
  readonly from?: number
  readonly to?: number
}

type Builtin = (LoopExpr & { kind: 'builtin' })['name']

interface Frame {
  readonly words: readonly { readonly i32: Int32Array; readonly f32: Float32Array; readonly i16: Int16Array }[]
  readonly values: Value[]
  readonly builtins: Readonly<Record<Builtin, number>>
  /** What each invocation of the workgroup shows to those of its subgroup. */
  readonly shown: Value[]
}

/** What a value of another subgroup is read as. */
const poison = 1234567

type Run = (frame: Frame) => void
type Step = (frame: Frame) => Generator<void, void>
type Either = (frame: Frame) => Generator<void, void> | undefined
type Get = (frame: Frame) => Value

/** Runs the function once: all workgroups of its grid, all invocations, or one call on WASM's terms where the grid is empty. */
export function evaluateLoops(fn: LoopFunction, call: LoopCall): void {
  const symbols = call.symbols ?? {}
  const body = compiled(fn, symbols)
  const size = (d: number) => evaluateCount(fn.grid[d] ?? [], symbols)
  const rows = fn.rows ? evaluateCount(fn.rows.count, symbols) : 0
  const lanes = Math.min(call.subgroup ?? 4, fn.workgroup)
  const range = { from: call.from ?? 0, to: call.to ?? rows }
  for (let z = 0; z < size(2); z++) {
    for (let y = 0; y < size(1); y++) {
      for (let x = 0; x < size(0); x++) {
        const words = fn.operands.map((o, i) => memoryOf(o, call.memory[i]))
        const shown: Value[] = []
        const frames = Array.from({ length: fn.workgroup }, (_, invocation): Frame => {
          return { words, values: [], builtins: { ...range, invocation, lanes, group_x: x, group_y: y, group_z: z }, shown }
        })
        if (body.run) for (const frame of frames) body.run(frame)
        else
          lockStep(
            frames.map((frame) => body.steps!(frame)),
            fn.name,
          )
      }
    }
  }
}

function memoryOf(operand: LoopFunction['operands'][number], given: Int32Array | Float32Array | undefined) {
  const words = given ?? (operand.memory.kind === 'scratch' ? new Int32Array(operand.memory.words).fill(0x7fc0dead) : undefined)
  if (!words) throw new Error(`internal: no memory for the operand ${operand.name}`)
  return {
    i32: new Int32Array(words.buffer, words.byteOffset, words.length),
    f32: new Float32Array(words.buffer, words.byteOffset, words.length),
    i16: new Int16Array(words.buffer, words.byteOffset, words.length * 2),
  }
}

function lockStep(invocations: readonly Generator<void, void>[], name: string): void {
  for (;;) {
    const done = invocations.map((g) => g.next().done === true)
    if (done.every((d) => d)) return
    if (done.some((d) => d)) throw new Error(`internal: ${name}: only some invocations reached a barrier`)
  }
}

const hasBarrier = (body: readonly LoopStmt[]): boolean =>
  hasStatement(body, ({ kind }) => kind === 'barrier' || kind === 'subgroup' || kind === 'uniform')

interface Body {
  readonly run?: Run
  /** With barriers. */
  readonly steps?: Step
}

const bodies = new WeakMap<LoopFunction, Map<string, Body>>()

/** Threads, instances and calls of one size run the same closures. */
function compiled(fn: LoopFunction, symbols: Readonly<Record<string, number>>): Body {
  const known = bodies.get(fn) ?? new Map<string, Body>()
  bodies.set(fn, known)
  const sizes = JSON.stringify(symbols)
  const before = known.get(sizes)
  if (before) return before
  const compile = compiler(fn, symbols)
  const body = hasBarrier(fn.body) ? { steps: compile.steps(fn.body) } : { run: compile.run(fn.body) }
  known.set(sizes, body)
  return body
}

/** A property by its own name: reading it by a variable takes several times as long. */
const builtins: Readonly<Record<Builtin, Get>> = {
  from: ({ builtins }) => builtins.from,
  to: ({ builtins }) => builtins.to,
  invocation: ({ builtins }) => builtins.invocation,
  lanes: ({ builtins }) => builtins.lanes,
  group_x: ({ builtins }) => builtins.group_x,
  group_y: ({ builtins }) => builtins.group_y,
  group_z: ({ builtins }) => builtins.group_z,
}

function compiler(fn: LoopFunction, symbols: Readonly<Record<string, number>>) {
  const slots = new Map<string, number>()
  const slot = (name: string): number => {
    const known = slots.get(name) ?? slots.size
    slots.set(name, known)
    return known
  }

  function expr(e: LoopExpr): Get {
    switch (e.kind) {
      case 'const': {
        const value: Value = e.type.endsWith('x4') ? [e.value, e.value, e.value, e.value] : e.value
        return () => value
      }
      case 'local': {
        const at = slot(e.name)
        return (frame) => frame.values[at]!
      }
      case 'symbol': {
        const value = symbols[e.name]
        if (value === undefined) throw new Error(`internal: no value for the symbol ${e.name}`)
        return () => value
      }
      case 'builtin':
        return builtins[e.name]
      case 'load': {
        const at = address(e, e.type, e.operand)
        const words = wordsOf(e.operand, e.type, e.halves)
        if (!e.type.endsWith('x4')) return (frame) => words(frame)[at(frame)]!
        return (frame) => {
          const [list, start] = [words(frame), at(frame)]
          return [list[start]!, list[start + 1]!, list[start + 2]!, list[start + 3]!]
        }
      }
      case 'op': {
        const args = e.args.map(expr)
        const apply = combine(
          e.op,
          e.args.map((a) => a.type),
        )
        const [a, b, c] = args
        if (args.length === 1) return (frame) => apply(a!(frame))
        if (args.length === 2) return (frame) => apply(a!(frame), b!(frame))
        if (args.length === 3) return (frame) => apply(a!(frame), b!(frame), c!(frame))
        return (frame) => apply(...args.map((arg) => arg(frame)))
      }
    }
  }

  /** An operand's memory as what is read or written there. */
  function wordsOf(operand: number, type: LoopType, halves = false): (frame: Frame) => Int32Array | Float32Array | Int16Array {
    if (halves) return (frame) => frame.words[operand]!.i16
    return type.startsWith('f32') ? (frame) => frame.words[operand]!.f32 : (frame) => frame.words[operand]!.i32
  }

  function address(
    e: { at: LoopExpr; offset: number; aligned?: boolean; halves?: boolean },
    type: LoopType,
    operand: number,
  ): (frame: Frame) => number {
    const at = expr(e.at)
    const { offset, aligned, halves } = e
    const last = (type.endsWith('x4') ? 4 : 1) - 1
    const words = wordsOf(operand, type, halves)
    const place = (word: number): string => `${halves ? 'halves' : 'words'} ${word}…${word + last} of ${fn.operands[operand]!.name}`
    return (frame) => {
      const word = (at(frame) as number) + offset
      const { length } = words(frame)
      if (word < 0 || word + last >= length) throw new Error(`internal: ${fn.name}: ${place(word)}, which has ${length}`)
      if (aligned && word % 4 !== 0) throw new Error(`internal: ${fn.name}: ${place(word)} is not aligned`)
      return word
    }
  }

  /** A statement without barriers. */
  function simple(s: LoopStmt): Run {
    switch (s.kind) {
      case 'let':
      case 'set': {
        const [at, value] = [slot(s.name), expr(s.value)]
        return (frame) => {
          frame.values[at] = value(frame)
        }
      }
      case 'store': {
        const at = address(s, s.value.type, s.operand)
        const value = expr(s.value)
        const words = wordsOf(s.operand, s.value.type, s.halves)
        return (frame) => {
          const stored = value(frame)
          const word = at(frame)
          if (typeof stored === 'number') words(frame)[word] = stored
          else words(frame).set(stored, word)
        }
      }
      case 'loop': {
        const [at, from, to, body] = [slot(s.variable), expr(s.from), expr(s.to), run(s.body)]
        return (frame) => {
          const last = to(frame) as number
          for (let k = from(frame) as number; k < last; k += s.step) {
            frame.values[at] = k
            body(frame)
          }
        }
      }
      case 'if': {
        const [condition, yes, no] = [expr(s.condition), run(s.yes), run(s.no ?? [])]
        return (frame) => (condition(frame) ? yes(frame) : no(frame))
      }
      case 'barrier':
      case 'subgroup':
      case 'uniform':
        throw new Error(`internal: ${s.kind} outside lock step`)
    }
  }

  function run(body: readonly LoopStmt[]): Run {
    const list = body.map(simple)
    return (frame) => {
      for (const statement of list) statement(frame)
    }
  }

  function steps(body: readonly LoopStmt[]): Step {
    const list = body.map((s): Either => (hasBarrier([s]) ? stepped(s) : (simple(s) as Either)))
    return function* (frame) {
      for (const statement of list) {
        const inner = statement(frame)
        if (inner) yield* inner
      }
    }
  }

  function stepped(s: LoopStmt): Step {
    if (s.kind === 'loop') {
      const [at, from, to, body] = [slot(s.variable), expr(s.from), expr(s.to), steps(s.body)]
      return function* (frame) {
        const last = to(frame) as number
        for (let k = from(frame) as number; k < last; k += s.step) {
          frame.values[at] = k
          yield* body(frame)
        }
      }
    }
    if (s.kind === 'if') {
      const [condition, yes, no] = [expr(s.condition), steps(s.yes), steps(s.no ?? [])]
      return function* (frame) {
        yield* condition(frame) ? yes(frame) : no(frame)
      }
    }
    if (s.kind === 'subgroup') return exchange(s)
    if (s.kind === 'uniform') return uniform(s)
    return function* () {
      yield
    }
  }

  function uniform({ name, value }: LoopStmt & { kind: 'uniform' }): Step {
    const [at, get] = [slot(name), expr(value)]
    return function* (frame) {
      const { shown } = frame
      const { invocation } = frame.builtins
      yield
      if (invocation === 0) shown[0] = get(frame)
      yield
      frame.values[at] = shown[0]!
      yield
    }
  }

  function exchange({ name, type, how, value }: SubgroupStmt): Step {
    const [at, get] = [slot(name), expr(value)]
    const join = combine(how === 'max' || how === 'min' ? how : 'add', [type, type])
    const foreign: Value = type.endsWith('x4') ? [poison, poison, poison, poison] : poison
    return function* (frame) {
      const { shown } = frame
      const { invocation, lanes } = frame.builtins
      shown[invocation] = get(frame)
      yield
      const first = invocation - (invocation % lanes)
      if (typeof how === 'object') frame.values[at] = how.by < lanes ? shown[invocation ^ how.by]! : foreign
      else frame.values[at] = shown.slice(first, first + lanes).reduce((a, b) => join(a, b))
      yield
    }
  }

  return { run, steps }
}
