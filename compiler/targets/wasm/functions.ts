// One wasm function from loop statements: locals, loops, loads and stores. Instructions of single ops are in expressions.ts,
// loop pointers in addresses.ts. Vector constants used inside loops live in locals set at the function's start, since V8
// rebuilds a v128.const at every use (a third of the speed of a packed matvec). Nothing is optimised afterwards: binaryen's
// passes put those constants back.

import binaryen from 'binaryen'
import type { LoopExpr, LoopOperand, LoopStmt, LoopType } from '../../schedule/loops.ts'
import { type MathOp, mathFunction } from '../../schedule/math-loops.ts'
import { type Access, accessKey, loopPointers, type Pointer, unitShift } from './addresses.ts'
import { addressType, type AddressType } from './address-type.ts'
import { type Context, emitOp, type Ref, wasmType } from './expressions.ts'
import { NegativeWords } from './negative-words.ts'

export interface EmitOptions {
  /** Use relaxed SIMD: dot products of bytes and fused multiply-add. */
  readonly relaxed: boolean
  /** Sum dots of bytes in pairs, with relaxed SIMD's 16-bit dot: for engines that have no instruction for the 32-bit one. */
  readonly pairs?: boolean
  /** Addresses of 64 bits, for memories beyond 4 GiB. */
  readonly wide?: boolean
}

export interface FunctionParameter {
  readonly name: string
  readonly type: LoopType
}

/** Where math functions come from: the name of a wasm function of the module, made on first use. */
export type MathSource = (op: MathOp, type: LoopType) => string

interface LivePointer extends Pointer {
  readonly local: number
}

/** Collects the locals of one function while its body is emitted. */
export class FunctionEmitter implements Context {
  readonly module: binaryen.Module
  readonly relaxed: boolean
  readonly pairs: boolean
  readonly #addresses: AddressType
  readonly #operands: readonly LoopOperand[]
  readonly #params: readonly binaryen.Type[]
  readonly #vars: binaryen.Type[] = []
  #names = new Map<string, number>()
  readonly #vectors = new Map<string, { local: number; value: Ref }>()
  readonly #math: MathSource
  #pointers = new Map<string, LivePointer>()
  #negatives = new NegativeWords([])
  #depth = 0
  #labels = 0

  /** Parameters: one address per operand (named by `addressOf`), then `params`. */
  constructor(
    module: binaryen.Module,
    { relaxed, pairs = false, wide = false }: EmitOptions,
    operands: readonly LoopOperand[],
    params: readonly FunctionParameter[],
    math: MathSource,
  ) {
    this.module = module
    this.relaxed = relaxed
    this.pairs = pairs
    this.#addresses = addressType(module, wide)
    this.#operands = operands
    this.#math = math
    this.#params = [...operands.map(() => this.#addresses.type), ...params.map((p) => wasmType(p.type))]
    for (const [i, p] of params.entries()) this.#names.set(p.name, operands.length + i)
  }

  /** Adds the function to the module. */
  add(name: string, body: readonly LoopStmt[], result?: LoopExpr): void {
    const m = this.module
    this.#negatives = new NegativeWords(body)
    const statements = this.#body(body)
    const type = result ? wasmType(result.type) : binaryen.none
    if (result) statements.push(this.expr(result))
    const constants = [...this.#vectors.values()].map((v) => m.local.set(v.local, v.value))
    m.addFunction(name, binaryen.createType([...this.#params]), type, this.#vars, m.block(null, [...constants, ...statements], type))
  }

  newLocal(type: binaryen.Type): number {
    this.#vars.push(type)
    return this.#params.length + this.#vars.length - 1
  }

  /** A call; on vectors in loops the body itself (1.5 times as fast: no call, and its constants stay in registers). */
  math(op: MathOp, type: LoopType, args: Ref[]): Ref {
    if (this.#depth === 0 || type !== 'f32x4') return this.module.call(this.#math(op, type), args, wasmType(type))
    const { params, body, result } = mathFunction(op, type)
    const outer = this.#names
    this.#names = new Map()
    const sets = params.map((name, i) => this.module.local.set(this.#local(name, type), args[i]!))
    const statements = this.#body(body)
    const value = this.expr(result)
    this.#names = outer
    return this.module.block(null, [...sets, ...statements, value], wasmType(type))
  }

  vector(lane: number, asFloat = false): Ref {
    const [word] = new Int32Array(asFloat ? new Float32Array([lane]).buffer : new Int32Array([lane]).buffer)
    return this.fourWords([word!, word!, word!, word!])
  }

  fourWords(words: readonly number[]): Ref {
    const m = this.module
    const make = () => m.v128.const(Array.from(new Uint8Array(Int32Array.from(words).buffer)))
    // Zero and all ones are one register-only instruction; keeping them would cost one of 15 registers.
    if (this.#depth === 0 || words.every((word) => word === 0) || words.every((word) => word === -1)) return make()
    const key = String(words)
    const known = this.#vectors.get(key) ?? { local: this.newLocal(binaryen.v128), value: make() }
    this.#vectors.set(key, known)
    return m.local.get(known.local, binaryen.v128)
  }

  expr(e: LoopExpr): Ref {
    const m = this.module
    switch (e.kind) {
      case 'const':
        if (e.type.endsWith('x4')) return this.vector(e.type === 'boolx4' ? -e.value : e.value, e.type === 'f32x4')
        return e.type === 'f32' ? m.f32.const(e.value) : m.i32.const(e.value)
      case 'local':
      case 'symbol':
        return this.#get(e.kind === 'symbol' ? symbolName(e.name) : e.name, e.type)
      case 'builtin':
        if (e.name === 'invocation') return m.i32.const(0)
        if (e.name === 'from' || e.name === 'to') return this.#get(symbolName(e.name), 'i32')
        throw new Error(`internal: ${e.name} in a function for WebAssembly`)
      case 'load': {
        const { pointer, offset } = this.place(e)
        if (e.halves) return e.type === 'i32x4' ? m.v128.load16x4_s(offset, 2, pointer) : m.i32.load16_s(offset, 2, pointer)
        const align = e.aligned ? 16 : 4
        if (e.type.endsWith('x4')) return m.v128.load(offset, align, pointer)
        return m[e.type as 'i32' | 'f32'].load(offset, 4, pointer)
      }
      case 'op':
        return emitOp(this, e)
    }
  }

  place(access: Access & { readonly offset: number }): { pointer: Ref; offset: number } {
    const pointer = this.#pointer(access)
    const bytes = access.offset << unitShift(access)
    if (bytes === 0 || !this.#negatives.mayBe(access.at)) return { pointer, offset: bytes }
    return { pointer: this.#addresses.add(pointer, this.#addresses.const(bytes)), offset: 0 }
  }

  #pointer(access: Access): Ref {
    const live = this.#pointers.get(accessKey(access))
    if (live) return this.module.local.get(live.local, this.#addresses.type)
    return this.#address(access)
  }

  #address(access: Access): Ref {
    const { operand, at } = access
    const unit = unitShift(access)
    const { type, add, const: constant, distance } = this.#addresses
    if (!this.#operands[operand]) throw new Error(`internal: no operand ${operand}`)
    const base = this.module.local.get(operand, type)
    if (at.kind === 'const') return at.value === 0 ? base : add(base, constant(at.value * 2 ** unit))
    const by = at.kind === 'op' && at.op === 'shl' && at.args[1]!.kind === 'const' ? at.args[1]!.value : undefined
    const shifted = by !== undefined && by < 30
    return add(base, distance(this.expr(shifted ? (at as { args: readonly LoopExpr[] }).args[0]! : at), shifted ? by + unit : unit))
  }

  #get(name: string, type: LoopType): Ref {
    const index = this.#names.get(name)
    if (index === undefined) throw new Error(`internal: ${name} is not declared`)
    return this.module.local.get(index, wasmType(type))
  }

  #local(name: string, type: LoopType): number {
    const index = this.newLocal(wasmType(type))
    this.#names.set(name, index)
    return index
  }

  #body(body: readonly LoopStmt[]): Ref[] {
    return body.flatMap((s) => this.#statement(s))
  }

  #statement(s: LoopStmt): Ref[] {
    const m = this.module
    switch (s.kind) {
      case 'let': {
        const value = this.expr(s.value)
        return [m.local.set(this.#local(s.name, s.type), value)]
      }
      case 'set': {
        const index = this.#names.get(s.name)
        if (index === undefined) throw new Error(`internal: ${s.name} is not declared`)
        return [m.local.set(index, this.expr(s.value))]
      }
      case 'store': {
        const { pointer, offset } = this.place(s)
        const value = this.expr(s.value)
        if (s.halves && s.value.type === 'i32') return [m.i32.store16(offset, 2, pointer, value)]
        if (s.halves) return [m.v128.store64_lane(offset, 2, 0, pointer, m.i16x8.narrow_i32x4_u(value, this.vector(0)))]
        if (s.value.type.endsWith('x4')) return [m.v128.store(offset, s.aligned ? 16 : 4, pointer, value)]
        return [m[s.value.type as 'i32' | 'f32'].store(offset, 4, pointer, value)]
      }
      case 'loop':
        return this.#loop(s)
      case 'if':
        return [m.if(this.expr(s.condition), m.block(null, this.#body(s.yes)), s.no ? m.block(null, this.#body(s.no)) : undefined)]
      case 'barrier':
        return []
      case 'uniform':
        return [m.local.set(this.#local(s.name, s.type), this.expr(s.value))]
      case 'subgroup':
        throw new Error(`internal: ${s.name}: a WASM call has no subgroup`)
    }
  }

  #loop(s: LoopStmt & { kind: 'loop' }): Ref[] {
    const m = this.module
    const before = [m.local.set(this.#local(s.variable, 'i32'), this.expr(s.from))]
    const variable = () => this.#get(s.variable, 'i32')
    let end = () => this.expr(s.to)
    if (s.to.kind !== 'const') {
      const local = this.newLocal(binaryen.i32)
      before.push(m.local.set(local, this.expr(s.to)))
      end = () => m.local.get(local, binaryen.i32)
    }
    this.#depth++
    const pointers = loopPointers(s).map((p): LivePointer => ({ ...p, local: this.newLocal(this.#addresses.type) }))
    const start = pointers.map((p) => m.local.set(p.local, this.#address(p)))
    const outer = this.#pointers
    this.#pointers = new Map(pointers.map((p) => [p.key, p]))
    const body = this.#body(s.body)
    this.#pointers = outer
    this.#depth--
    const index = this.#names.get(s.variable)!
    const { type, add, const: constant } = this.#addresses
    const steps = pointers
      .filter((p) => p.stride !== 0)
      .map((p) => m.local.set(p.local, add(m.local.get(p.local, type), constant(p.stride * 2 ** unitShift(p)))))
    const label = `loop${this.#labels++}`
    const again = m.br(label, m.i32.lt_s(variable(), end()))
    const loop = m.loop(label, m.block(null, [...body, ...steps, m.local.set(index, m.i32.add(variable(), m.i32.const(s.step))), again]))
    const runs = s.from.kind === 'const' && s.to.kind === 'const' && s.from.value < s.to.value
    return [...before, ...(runs ? [...start, loop] : [m.if(m.i32.lt_s(variable(), end()), m.block(null, [...start, loop]))])]
  }
}

/** Name of a parameter that holds an entry symbol, `from` or `to`: apart from the names of locals. */
export const symbolName = (name: string): string => `$${name}`
