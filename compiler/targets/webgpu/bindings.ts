// How the operands of one loop function reach WGSL: which share a binding, the type of each binding's array, and where operands
// start in it. The arena is bound once per dispatch, at offset 0 (a buffer may not be bound `read` and `read_write` in the same
// dispatch), so operands inside it have constant word bases; tensors and states are bindings of their own and start at 0, which
// is why the instances of a layer share one module. Kernels that differ in nothing but where operands start share one too: those
// places are then words of a uniform. Limits are WebGPU's guaranteed minimum; nothing more is ever requested.

import type { LoopFunction, LoopType } from '../../schedule/loops.ts'
import { walkLoops } from '../../schedule/walk-loops.ts'
import type { GridFold } from './grid.ts'

export const guaranteed = {
  storageBuffers: 8,
  storageBytes: 128 * 2 ** 20,
  workgroupBytes: 16384,
  invocations: 256,
  workgroups: 65535,
  offset: 256,
} as const

/**
 * Arrays of `vec4<u32>` are read only: a store to one lane may write all four. `atomic<i32>`: halves of words are stored, whose other
 * halves other invocations may store at the same time.
 */
export type BindingElement = 'f32' | 'i32' | 'vec4<u32>' | 'atomic<i32>'

export interface Binding {
  /** 'places': a uniform of first words. */
  readonly kind: 'tensor' | 'state' | 'arena' | 'uniform' | 'places'
  /** Ignored for uniforms. */
  readonly element: BindingElement
}

/** An operand's binding and the first word there, or the first word that any access touches. */
export interface OperandBase {
  readonly binding: number
  readonly base: number
  /** The first word is not in the text: it is field `p<operand>` of the uniform of places. */
  readonly moved?: boolean
}

export interface BindingPlan {
  /** Binding i of group 0. */
  readonly bindings: readonly Binding[]
  /** For each operand of the loop function: its binding and first word there; undefined for scratch. */
  readonly operands: readonly (OperandBase | undefined)[]
  /** Fields of the uniform, i32 each: all symbols of the entry, in its order. */
  readonly symbols: readonly string[]
  /** Set when a grid dimension had to be spread over two (grid.ts). */
  readonly fold?: GridFold
}

/** Where a kernel operand lies: an index into WebgpuProgram.buffers and a byte range of that buffer. */
export interface OperandPlace {
  readonly kind: 'tensor' | 'state' | 'arena'
  readonly buffer: number
  readonly offset: number
  readonly bytes: number
}

export interface BoundRange {
  readonly buffer: number
  readonly offset: number
  readonly bytes: number
}

interface Slot {
  readonly kind: 'tensor' | 'state' | 'arena'
  readonly range: BoundRange
  readonly operands: { readonly index: number; readonly base: number }[]
}

/**
 * The plan and the byte range of each binding. `places[k]` is kernel operand k; `arenaBytes` and `stateBytes(buffer)` give the
 * whole sizes, since arena and states are bound whole. `uniform` is bound first, where `needsUniform`.
 */
export function planBindings(
  fn: LoopFunction,
  places: readonly OperandPlace[],
  buffers: readonly { readonly kind: string; readonly bytes: number }[],
  entry: { readonly symbols: readonly string[]; readonly uniform: number; readonly needsUniform: boolean },
): { readonly plan: BindingPlan; readonly ranges: readonly BoundRange[] } {
  const slots: Slot[] = []
  fn.operands.forEach((operand, index) => {
    if (operand.memory.kind === 'scratch') return
    const place = places[operand.memory.operand]
    if (!place) throw new Error(`internal: ${fn.name}: no place for operand ${operand.name}`)
    const range = rangeOf(place, buffers[place.buffer]!.bytes)
    const base = (place.offset - range.offset) / 4
    if (!Number.isInteger(base)) throw new Error(`internal: ${fn.name}: operand ${operand.name} does not start at a word`)
    const slot = slots.find(
      (s) => s.kind === place.kind && s.range.buffer === range.buffer && s.range.offset === range.offset && s.range.bytes === range.bytes,
    )
    if (slot) slot.operands.push({ index, base })
    else slots.push({ kind: place.kind, range, operands: [{ index, base }] })
  })
  if (slots.length > guaranteed.storageBuffers)
    throw new Error(`internal: ${fn.name}: ${slots.length} storage buffers, at most ${guaranteed.storageBuffers}`)
  const first = entry.needsUniform ? 1 : 0
  const operands: (OperandBase | undefined)[] = fn.operands.map(() => undefined)
  slots.forEach((slot, i) => {
    for (const { index, base } of slot.operands) operands[index] = { binding: first + i, base }
  })
  const words = elementsUsed(fn)
  const bindings: Binding[] = slots.map((slot) => ({ kind: slot.kind, element: elementOf(fn, slot, words) }))
  const uniform: Binding = { kind: 'uniform', element: 'i32' }
  return {
    plan: { bindings: first ? [uniform, ...bindings] : bindings, operands, symbols: first ? entry.symbols : [] },
    ranges: [
      ...(first ? [{ buffer: entry.uniform, offset: 0, bytes: buffers[entry.uniform]!.bytes }] : []),
      ...slots.map((slot) => slot.range),
    ],
  }
}

/** Arena and states whole; a tensor from the last multiple of the binding alignment before it. */
function rangeOf(place: OperandPlace, bufferBytes: number): BoundRange {
  if (place.kind !== 'tensor') return { buffer: place.buffer, offset: 0, bytes: bufferBytes }
  const offset = place.offset - (place.offset % guaranteed.offset)
  return { buffer: place.buffer, offset, bytes: place.offset + place.bytes - offset }
}

function elementOf(fn: LoopFunction, slot: Slot, words: readonly ReadonlySet<string>[]): BindingElement {
  const vectors = slot.operands.every(({ index, base }) => fn.operands[index]!.vector === true && base % 4 === 0)
  const isRead = slot.operands.every(({ index }) => fn.operands[index]!.access === 'read')
  if (slot.kind !== 'arena' && isRead && vectors && slot.range.bytes % 16 === 0) return 'vec4<u32>'
  if (slot.operands.some(({ index }) => words[index]!.has('stored half'))) return 'atomic<i32>'
  // Integers kept in an f32 array would be denormals, which a GPU may flush: any i32 access makes the array i32.
  return slot.operands.every(({ index }) => !words[index]!.has('i32')) ? 'f32' : 'i32'
}

/** The plan with the first words of these operands in a uniform, which is the last binding. */
export function movePlaces(plan: BindingPlan, moved: ReadonlySet<number>): BindingPlan {
  if (moved.size === 0) return plan
  return {
    ...plan,
    bindings: [...plan.bindings, { kind: 'places', element: 'i32' }],
    operands: plan.operands.map((place, operand) => (place && moved.has(operand) ? { ...place, moved: true } : place)),
  }
}

/**
 * Operands whose place may be moved: all but vectors, whose addresses are known to be multiples of four words, and halves, which are
 * counted in another unit than places (they are states, which begin where their binding does).
 */
export function movableOperands(fn: LoopFunction, { bindings, operands }: BindingPlan): number[] {
  const used = elementsUsed(fn)
  return operands.flatMap((place, operand) =>
    place && bindings[place.binding]!.element !== 'vec4<u32>' && !used[operand]!.has('half') ? [operand] : [],
  )
}

/** How words are accessed: 'half' where halves of them are, 'stored half' where those are stored. */
type Access = 'i32' | 'f32' | 'half' | 'stored half'

interface Uses {
  /** By operand. */
  readonly elements: readonly ReadonlySet<Access>[]
  readonly leastOffsets: readonly number[]
  readonly symbols: boolean
}

const known = new WeakMap<LoopFunction, Uses>()

/** A layer's function is planned for every instance: it is walked once. */
function usesOf(fn: LoopFunction): Uses {
  const before = known.get(fn)
  if (before) return before
  const elements = fn.operands.map(() => new Set<Access>())
  const least = fn.operands.map(() => Number.POSITIVE_INFINITY)
  let symbols = false
  const note = (access: { readonly operand: number; readonly offset: number; readonly halves?: boolean }, type: LoopType): void => {
    const { operand, offset, halves = false } = access
    elements[operand]!.add(type.startsWith('f32') ? 'f32' : 'i32')
    if (halves) elements[operand]!.add('half')
    least[operand] = Math.min(least[operand]!, offset)
  }
  walkLoops(
    fn.body,
    (e) => {
      if (e.kind === 'load') note(e, e.type)
      else if (e.kind === 'symbol') symbols = true
    },
    (s) => {
      if (s.kind !== 'store') return
      note(s, s.value.type)
      if (s.halves) elements[s.operand]!.add('stored half')
    },
  )
  const uses = { elements, leastOffsets: least.map((offset) => (offset === Number.POSITIVE_INFINITY ? 0 : offset)), symbols }
  known.set(fn, uses)
  return uses
}

/** By operand the smallest constant part of any address: it is part of the operand's place where that is moved. */
export const leastOffsetsOf = (fn: LoopFunction): readonly number[] => usesOf(fn).leastOffsets

/** By operand, what it is accessed as. */
export const elementsUsed = (fn: LoopFunction): readonly ReadonlySet<Access>[] => usesOf(fn).elements

/** Whether its statements read any symbol. */
export const readsSymbols = (fn: LoopFunction): boolean => usesOf(fn).symbols
