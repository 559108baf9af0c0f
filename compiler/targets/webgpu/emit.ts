// Loop IR → WGSL: one compute shader `main` per loop function. Locals that are never set again become `let`; loops keep their
// bounds in a `let`, so that WGSL sees uniform bounds as uniform and barriers inside are accepted. Constant folding by the WGSL
// compiler is prevented where it could end in an error (see literals.ts). The text depends on nothing but the function's
// statements and the plan, so the instances of a layer give one module. Bindings and grids are planned in bindings.ts, grid.ts.

import type { Affine } from '../../../dsl/affine.ts'
import type { LoopExpr, LoopFunction, LoopStmt, LoopType } from '../../schedule/loops.ts'
import { type BindingElement, type BindingPlan, elementsUsed, guaranteed, leastOffsetsOf } from './bindings.ts'
import type { GridFactor } from './grid.ts'
import { type HalfForm, halfTexts, type LibraryName, libraryText, packedTexts } from './library.ts'
import { intLiteral, literal, wgslTypes } from './literals.ts'
import { type MathOp, mathFunction } from '../../schedule/math-loops.ts'
import { plus, printOps } from './print-ops.ts'
import { emulatedSubgroups, nativeSubgroups, type SubgroupText } from './subgroups.ts'

export interface EmitOptions {
  /** The size of subgroups that are emulated, for tests; else those of the device are used, which needs `subgroups`. */
  readonly subgroup?: number
}

/** What a device offers besides. */
export interface TextForm {
  /** Halves become f32 by the device's own conversion, which needs `shader-f16`, or, 'emulated', by functions of WGSL that round to halves, for tests. */
  readonly f16?: HalfForm
  /** Dot products of packed bytes: needs `packed_4x8_integer_dot_product` in navigator.gpu.wgslLanguageFeatures. */
  readonly packedDots?: boolean
}

export interface KernelText {
  /** Halves of words are read, bytes are multiplied: `wgsl` differs from form to form. */
  readonly readsHalves: boolean
  readonly dotsBytes: boolean
  /** The module, for devices that offer nothing if left out. */
  wgsl(form?: TextForm): string
}

/** Scratch memory may also be vectors, which are stored whole; as integers where bytes go there too, since no float may be lost that is none. */
type MemoryElement = BindingElement | 'vec4<f32>' | 'vec4<i32>'

/** An array in WGSL that operands lie in. */
interface Memory {
  readonly name: string
  readonly element: MemoryElement
  /** The word of it that stands for word 0 of the operand; behind `place` where the text does not say all of it. */
  readonly base: number
  readonly place?: string
}

const isVector = (type: LoopType): boolean => type.endsWith('x4')
const scalarOf: Readonly<Record<MemoryElement, string>> = {
  'vec4<f32>': 'f32',
  'vec4<i32>': 'i32',
  f32: 'f32',
  i32: 'i32',
  'vec4<u32>': 'u32',
  'atomic<i32>': 'i32',
}

/** The word of a memory that an access begins at. */
function addressText({ at, offset }: { at: LoopExpr; offset: number }, { base, place }: Memory, print: (e: LoopExpr) => string): string {
  const add = offset + base
  if (at.kind !== 'const') return plus(place ? `(${print(at)} + ${place})` : print(at), add)
  return place ? plus(place, at.value + add) : intLiteral(at.value + add)
}

/** The same memory counted in halves of words. Its place is never moved (movableOperands). */
const inHalves = (memory: Memory): Memory => ({ ...memory, base: 2 * memory.base })

class Writer {
  readonly library = new Set<LibraryName>()
  /** Arrays that are read or written four words at a time, word by word. */
  readonly quads = new Map<string, { element: MemoryElement; reads: boolean; writes: boolean }>()
  readonly builtins = new Set<string>()
  /** Mathematical functions by name. */
  readonly maths = new Map<string, string>()
  readonly fn: LoopFunction
  readonly memories: readonly Memory[]
  readonly subgroups: SubgroupText
  usesSubgroups = false
  /** Whether there is a word of workgroup memory for values that all invocations are given. */
  usesUniform = false
  private readonly assigned = new Set<string>()

  constructor(fn: LoopFunction, memories: readonly Memory[], { subgroup }: EmitOptions) {
    this.fn = fn
    this.memories = memories
    this.subgroups = subgroup === undefined ? nativeSubgroups : emulatedSubgroups(subgroup, fn.workgroup)
    collectAssigned(fn.body, this.assigned)
  }

  readonly expr = (e: LoopExpr): string => {
    switch (e.kind) {
      case 'const':
        return literal(e.type, e.value)
      case 'local':
        return `v_${e.name}`
      case 'symbol':
        return `symbols.s_${e.name}`
      case 'builtin':
        if (e.name === 'from' || e.name === 'to') throw new Error(`internal: ${this.fn.name}: row blocks have no meaning in WGSL`)
        this.builtins.add(e.name)
        return e.name
      case 'load':
        return this.load(e)
      case 'op':
        return this.op(e)
    }
  }

  private op(node: LoopExpr & { kind: 'op' }): string {
    const args = node.args.map(this.expr)
    const first = node.args[0]!
    if (node.args.every((a) => a.kind === 'const') && !node.op.startsWith('lane_')) {
      args[0] = this.call(`keep_${first.type.replace('x4', '') as 'f32' | 'i32' | 'bool'}_${isVector(first.type) ? 4 : 1}`, args[0]!)
    }
    // A constant zero divisor is an error in WGSL even where the dividend is unknown.
    const second = node.args[1]
    if ((node.op === 'div' || node.op === 'rem') && second?.kind === 'const' && second.value === 0) {
      args[1] = this.call(`keep_${second.type.replace('x4', '') as 'f32' | 'i32'}_${isVector(second.type) ? 4 : 1}`, args[1]!)
    }
    const width = isVector(first.type) ? '_4' : '_1'
    const math = (op: MathOp) => `${this.math(op, first.type, width)}(${args.join(', ')})`
    return printOps[node.op]({ args, node, width, call: this.call, math })
  }

  private readonly call = (name: LibraryName, ...args: readonly string[]): string => {
    this.library.add(name)
    return `${name}(${args.join(', ')})`
  }

  private math(op: MathOp, type: LoopType, width: string): string {
    const name = `math_${op}${width}`
    if (!this.maths.has(name)) {
      const { params, body, result } = mathFunction(op, type)
      const T = wgslTypes[type]
      const signature = `fn ${name}(${params.map((p) => `v_${p}: ${T}`).join(', ')}) -> ${T}`
      this.maths.set(name, [`${signature} {`, ...this.statements(body, '  '), `  return ${this.expr(result)};`, '}'].join('\n'))
    }
    return name
  }

  private quad(memory: Memory, use: 'reads' | 'writes'): string {
    const entry = this.quads.get(memory.name) ?? { element: memory.element, reads: false, writes: false }
    entry[use] = true
    this.quads.set(memory.name, entry)
    return `${use === 'reads' ? 'read' : 'write'}4_${memory.name}`
  }

  private load(e: LoopExpr & { kind: 'load' }): string {
    const memory = this.memories[e.operand]!
    const at = addressText(e, memory, this.expr)
    const type = wgslTypes[e.type]
    const cast = (text: string, from: string) => (from === type ? text : `bitcast<${type}>(${text})`)
    if (e.halves) return this.halves(e, memory)
    if (!isVector(e.type)) return cast(wordText(memory, at), scalarOf[memory.element])
    const operand = this.fn.operands[e.operand]!
    if (isQuad(memory.element) && (e.aligned || operand.vector)) return cast(`${memory.name}[${at} >> 2u]`, memory.element)
    return cast(`${this.quad(memory, 'reads')}(${at})`, `vec4<${scalarOf[memory.element]}>`)
  }

  /** Halves of words by their numbers, signs extended. */
  private halves(e: LoopExpr & { kind: 'load' }, memory: Memory): string {
    const half = (lane: number): string => {
      const at = addressText({ at: e.at, offset: e.offset + lane }, inHalves(memory), this.expr)
      const word = wordText(memory, `(${at} >> 1u)`)
      return `(((${scalarOf[memory.element] === 'i32' ? word : `bitcast<i32>(${word})`}) << ((1u - (u32(${at}) & 1u)) << 4u)) >> 16u)`
    }
    return isVector(e.type) ? `vec4<i32>(${[0, 1, 2, 3].map(half).join(', ')})` : half(0)
  }

  /** Both steps leave the word's other half as another invocation may have just stored it. */
  private storeHalf(s: LoopStmt & { kind: 'store' }, memory: Memory): string {
    if (isVector(s.value.type)) throw new Error(`internal: ${this.fn.name}: four halves are stored at once`)
    const at = addressText(s, inHalves(memory), this.expr)
    const place = `&${memory.name}[(${at}) >> 1u], `
    const shift = `((u32(${at}) & 1u) << 4u)`
    return `{ atomicAnd(${place}~(65535i << ${shift})); atomicOr(${place}${this.expr(s.value)} << ${shift}); }`
  }

  private store(s: LoopStmt & { kind: 'store' }): string {
    const memory = this.memories[s.operand]!
    if (memory.element === 'vec4<u32>')
      throw new Error(`internal: ${this.fn.name}: store to the read-only operand ${this.fn.operands[s.operand]!.name}`)
    if (s.halves) return this.storeHalf(s, memory)
    const at = addressText(s, memory, this.expr)
    const scalar = scalarOf[memory.element]
    const type = isVector(s.value.type) ? `vec4<${scalar}>` : scalar
    const text = this.expr(s.value)
    const value = wgslTypes[s.value.type] === type ? text : `bitcast<${type}>(${text})`
    if (isQuad(memory.element)) return `${memory.name}[${at} >> 2u] = ${value};`
    return isVector(s.value.type) ? `${this.quad(memory, 'writes')}(${at}, ${value});` : `${storeText(memory, at, value)};`
  }

  *statements(body: readonly LoopStmt[], indent: string): Generator<string> {
    for (const s of body) {
      switch (s.kind) {
        case 'let':
          yield this.assigned.has(s.name)
            ? `${indent}var v_${s.name}: ${wgslTypes[s.type]} = ${this.expr(s.value)};`
            : `${indent}let v_${s.name} = ${this.expr(s.value)};`
          break
        case 'set':
          yield `${indent}v_${s.name} = ${this.expr(s.value)};`
          break
        case 'store':
          yield indent + this.store(s)
          break
        case 'loop': {
          const v = `v_${s.variable}`
          let to = this.expr(s.to)
          if (s.to.kind !== 'const') {
            yield `${indent}let to_${s.variable} = ${to};`
            to = `to_${s.variable}`
          }
          yield `${indent}for (var ${v} = ${this.expr(s.from)}; ${v} < ${to}; ${v} += ${s.step}i) {`
          yield* this.statements(s.body, `${indent}  `)
          yield `${indent}}`
          break
        }
        case 'if':
          yield `${indent}if (${this.expr(s.condition)}) {`
          yield* this.statements(s.yes, `${indent}  `)
          if (s.no && s.no.length > 0) {
            yield `${indent}} else {`
            yield* this.statements(s.no, `${indent}  `)
          }
          yield `${indent}}`
          break
        case 'barrier':
          yield `${indent}workgroupBarrier();`
          yield `${indent}storageBarrier();`
          break
        case 'uniform':
          this.usesUniform = true
          yield `${indent}if (local_index == 0u) { uniform_i32 = ${this.expr(s.value)}; }`
          yield `${indent}let v_${s.name} = workgroupUniformLoad(&uniform_i32);`
          break
        case 'subgroup':
          this.usesSubgroups = true
          yield `${indent}let v_${s.name} = ${this.subgroups.exchange(s.how, s.type, this.expr(s.value))};`
      }
    }
  }
}

const isQuad = (element: MemoryElement): element is 'vec4<u32>' | 'vec4<f32>' | 'vec4<i32>' => element.startsWith('vec4')

const wordText = (memory: { name: string; element: MemoryElement }, at: string): string =>
  isQuad(memory.element)
    ? `${memory.name}[(${at}) >> 2u][(${at}) & 3i]`
    : memory.element === 'atomic<i32>'
      ? `atomicLoad(&${memory.name}[${at}])`
      : `${memory.name}[${at}]`

const storeText = (memory: { name: string; element: MemoryElement }, at: string, value: string): string =>
  memory.element === 'atomic<i32>' ? `atomicStore(&${memory.name}[${at}], ${value})` : `${wordText(memory, at)} = ${value}`

function collectAssigned(body: readonly LoopStmt[], into: Set<string>): void {
  for (const s of body) {
    if (s.kind === 'set') into.add(s.name)
    else if (s.kind === 'loop') collectAssigned(s.body, into)
    else if (s.kind === 'if') {
      collectAssigned(s.yes, into)
      collectAssigned(s.no ?? [], into)
    }
  }
}

/** Functions that read or write four consecutive words of one array. */
function quadText(name: string, { element, reads, writes }: { element: MemoryElement; reads: boolean; writes: boolean }): string[] {
  const word = scalarOf[element]
  const lanes = [0, 1, 2, 3].map((i) => wordText({ name, element }, plus('at', i)))
  const stores = [0, 1, 2, 3].map((i) => `  ${storeText({ name, element }, plus('at', i), `v[${i}]`)};`)
  return [
    ...(reads ? [`fn read4_${name}(at: i32) -> vec4<${word}> {\n  return vec4<${word}>(${lanes.join(', ')});\n}`] : []),
    ...(writes ? [`fn write4_${name}(at: i32, v: vec4<${word}>) {\n${stores.join('\n')}\n}`] : []),
  ]
}

const affineText = (value: Affine): string =>
  [...value.terms.map(([name, factor]) => `symbols.s_${name} * ${intLiteral(factor)}`), intLiteral(value.const)].join(' + ')

const countText = (factors: readonly GridFactor[]): string =>
  factors.map((f) => `((${affineText(f.size)} + ${f.divisor - 1}i) / ${f.divisor}i)`).join(' * ') || '1i'

const dimensions = ['x', 'y', 'z'] as const

/** The lines of `main` that name what the body reads, and the folded group number with its end. */
function prologue({ builtins, subgroups }: Writer, plan: BindingPlan): string[] {
  const lines: string[] = []
  if (builtins.has('lanes')) lines.push(`let lanes = ${subgroups.lanes};`)
  if (builtins.has('invocation')) lines.push('let invocation = i32(local_index);')
  dimensions.forEach((d, i) => {
    const { fold } = plan
    if (fold?.dimension === i) {
      const spare = dimensions[fold.spare]
      lines.push(`let group_${d} = i32(workgroup_id.${d} + workgroup_id.${spare} * num_workgroups.${d});`)
      lines.push(`if (group_${d} >= ${countText(fold.total)}) {`, '  return;', '}')
    } else if (builtins.has(`group_${d}`)) {
      lines.push(`let group_${d} = i32(workgroup_id.${d});`)
    }
  })
  return lines.map((line) => `  ${line}`)
}

function scratchMemories(fn: LoopFunction): { memories: Memory[]; declarations: string[]; bytes: number } {
  const words = elementsUsed(fn)
  const memories: Memory[] = []
  const declarations: string[] = []
  let bytes = 0
  fn.operands.forEach((operand, i) => {
    if (operand.memory.kind !== 'scratch') return
    const word = words[i]!.has('i32') ? 'i32' : 'f32'
    const element: MemoryElement = operand.vector ? `vec4<${word}>` : word
    memories[i] = { name: `scratch${i}`, element, base: 0 }
    declarations.push(`var<workgroup> scratch${i}: array<${element}, ${Math.ceil(operand.memory.words / (isQuad(element) ? 4 : 1))}>;`)
    bytes += Math.ceil(operand.memory.words / 4) * 16
  })
  return { memories, declarations, bytes }
}

/**
 * The WGSL module of one loop function; entry point `main`, group 0 as the plan says. Throws `internal:` when the function
 * needs more than WebGPU guarantees (16 KiB of scratch, 256 invocations, 8 storage buffers).
 */
export function emitKernel(fn: LoopFunction, plan: BindingPlan, options: EmitOptions = {}): KernelText {
  const { memories, declarations, bytes } = scratchMemories(fn)
  const storage = plan.bindings.filter((b) => b.kind !== 'uniform' && b.kind !== 'places').length
  if (fn.workgroup > guaranteed.invocations) throw new Error(`internal: ${fn.name}: ${fn.workgroup} invocations per workgroup`)
  if (storage > guaranteed.storageBuffers) throw new Error(`internal: ${fn.name}: ${storage} storage buffers`)
  const least = leastOffsetsOf(fn)
  plan.operands.forEach((place, i) => {
    if (!place) return
    const memory = { name: `b${place.binding}`, element: plan.bindings[place.binding]!.element, base: place.base }
    memories[i] = place.moved ? { ...memory, base: -least[i]!, place: `places.p${i}` } : memory
  })

  const writer = new Writer(fn, memories, options)
  const body = [...writer.statements(fn.body, '  ')]
  const shared = bytes + (writer.usesUniform ? 16 : 0)
  if (shared > guaranteed.workgroupBytes) throw new Error(`internal: ${fn.name}: ${shared} bytes of workgroup memory`)
  const parameters = [
    '@builtin(workgroup_id) workgroup_id: vec3<u32>',
    '@builtin(local_invocation_index) local_index: u32',
    ...(plan.fold ? ['@builtin(num_workgroups) num_workgroups: vec3<u32>'] : []),
  ]
  const bindings = plan.bindings.map((b, i) => {
    if (b.kind === 'uniform') return `@group(0) @binding(${i}) var<uniform> symbols: Symbols;`
    if (b.kind === 'places') return `@group(0) @binding(${i}) var<uniform> places: Places;`
    return `@group(0) @binding(${i}) var<storage, ${b.kind === 'tensor' ? 'read' : 'read_write'}> b${i}: array<${b.element}>;`
  })
  const moved = plan.operands.flatMap((place, operand) => (place?.moved ? [operand] : []))
  const dotsBytes = [...writer.library].some((name) => name.startsWith('dot4_'))
  const readsHalves = [...writer.library].some((name) => name.startsWith('half_'))
  const linesFor = ({ f16, packedDots = false }: TextForm): readonly string[] => [
    ...(writer.usesSubgroups ? writer.subgroups.enable : []),
    ...(readsHalves && f16 === 'native' ? ['enable f16;'] : []),
    ...(dotsBytes && packedDots ? ['requires packed_4x8_integer_dot_product;'] : []),
    ...(plan.bindings.some((b) => b.kind === 'uniform')
      ? [`struct Symbols { ${plan.symbols.map((name) => `s_${name}: i32`).join(', ')} }`]
      : []),
    ...(moved.length > 0 ? [`struct Places { ${moved.map((operand) => `p${operand}: i32`).join(', ')} }`] : []),
    ...bindings,
    ...declarations,
    ...(writer.usesUniform ? ['var<workgroup> uniform_i32: i32;'] : []),
    ...writer.subgroups.declarations(),
    ...libraryText(writer.library, { ...(f16 ? halfTexts(f16) : {}), ...(packedDots ? packedTexts : {}) }),
    ...writer.maths.values(),
    ...[...writer.quads].flatMap(([name, use]) => quadText(name, use)),
    `@compute @workgroup_size(${fn.workgroup})`,
    `fn main(${parameters.join(', ')}) {`,
    ...prologue(writer, plan),
    ...body,
    '}',
  ]
  return { readsHalves, dotsBytes, wgsl: (form = {}) => `${linesFor(form).join('\n')}\n` }
}
