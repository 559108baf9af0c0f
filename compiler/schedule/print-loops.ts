// Readable text of a loop function, for goldens, `--emit` output and error messages. Deterministic; parentheses only where an
// operator is nested in another one. `q.f32x4[k*4 + 8]` is a load of four words of operand q, `q[…] = x` a store.

import type { Count } from './count.ts'
import { show } from '../../dsl/affine.ts'
import type { LoopExpr, LoopFunction, LoopOp, LoopStmt } from './loops.ts'

const infix: Partial<Record<LoopOp, string>> = {
  add: '+',
  sub: '-',
  mul: '*',
  div: '/',
  rem: '%',
  and: '&',
  or: '|',
  xor: '^',
  shl: '<<',
  shr_s: '>>',
  shr_u: '>>>',
  eq: '==',
  ne: '!=',
  lt: '<',
  le: '<=',
  gt: '>',
  ge: '>=',
}

const float = (value: number): string => {
  const short = String(Number(value.toPrecision(9)))
  return Object.is(value, -0) ? '-0.0' : /[.e]/.test(short) ? short : `${short}.0`
}

/** Text of one expression. `operands` gives the names of memory. */
export function printExpr(e: LoopExpr, operands: readonly string[], nested = false): string {
  switch (e.kind) {
    case 'const': {
      const text = e.type.startsWith('f32') ? float(e.value) : e.type.startsWith('bool') ? String(e.value !== 0) : String(e.value)
      return e.type.endsWith('x4') ? `${e.type}(${text})` : text
    }
    case 'local':
    case 'symbol':
    case 'builtin':
      return e.kind === 'local' ? e.name : `$${e.name}`
    case 'load':
      return `${operands[e.operand] ?? `?${e.operand}`}.${e.type}${e.halves ? '.halves' : ''}[${place(e, operands)}]`
    case 'op': {
      const sign = infix[e.op]
      if (!sign) return `${e.op}(${e.args.map((a) => printExpr(a, operands)).join(', ')})`
      const text = e.args.map((a) => printExpr(a, operands, true)).join(` ${sign} `)
      return nested ? `(${text})` : text
    }
  }
}

function place(e: { at: LoopExpr; offset: number; aligned?: boolean }, operands: readonly string[]): string {
  const zero = e.at.kind === 'const' && e.at.value === 0
  const at = zero ? String(e.offset) : e.offset === 0 ? printExpr(e.at, operands) : `${printExpr(e.at, operands, true)} + ${e.offset}`
  return e.aligned ? `${at}, aligned` : at
}

function statements(body: readonly LoopStmt[], operands: readonly string[], indent: string): string[] {
  const expr = (e: LoopExpr) => printExpr(e, operands)
  const lines = (s: LoopStmt): string[] => {
    switch (s.kind) {
      case 'let':
        return [`${indent}let ${s.name}: ${s.type} = ${expr(s.value)}`]
      case 'set':
        return [`${indent}${s.name} = ${expr(s.value)}`]
      case 'store':
        return [`${indent}${operands[s.operand] ?? `?${s.operand}`}${s.halves ? '.halves' : ''}[${place(s, operands)}] = ${expr(s.value)}`]
      case 'loop': {
        const head = `${indent}for ${s.variable} = ${expr(s.from)} to ${expr(s.to)}${s.step === 1 ? '' : ` step ${s.step}`} {`
        return [head, ...statements(s.body, operands, `${indent}  `), `${indent}}`]
      }
      case 'if': {
        const yes = [`${indent}if ${expr(s.condition)} {`, ...statements(s.yes, operands, `${indent}  `)]
        return s.no ? [...yes, `${indent}} else {`, ...statements(s.no, operands, `${indent}  `), `${indent}}`] : [...yes, `${indent}}`]
      }
      case 'barrier':
        return [`${indent}barrier`]
      case 'uniform':
        return [`${indent}let ${s.name}: ${s.type} = uniform ${expr(s.value)}`]
      case 'subgroup': {
        const how = typeof s.how === 'object' ? `swap by ${s.how.by}` : s.how
        return [`${indent}let ${s.name}: ${s.type} = subgroup ${how} of ${expr(s.value)}`]
      }
    }
  }
  return body.flatMap(lines)
}

const printCount = (count: Count): string =>
  count.map(({ size, divisor }) => (divisor === 1 ? show(size) : `⌈(${show(size)}) / ${divisor}⌉`)).join('·') || '1'

/** Text of a whole function: head, operands, symbols, launch shape, body. */
export function printLoops(fn: LoopFunction): string {
  const operands = fn.operands.map((o) => {
    const memory =
      o.memory.kind === 'scratch' ? `${o.memory.shared ? 'shared ' : ''}scratch ${o.memory.words}` : `buffer ${o.memory.operand}`
    return `  ${o.name}: ${o.access} ${o.element} ${memory}${o.vector ? ' vector' : ''}`
  })
  const launch = [
    ...(fn.symbols.length > 0 ? [`  symbols ${fn.symbols.join(', ')}`] : []),
    ...(fn.rows ? [`  rows ${printCount(fn.rows.count)} by ${fn.rows.unit}`] : []),
    ...(fn.grid.length > 0 || fn.workgroup > 1 ? [`  workgroup ${fn.workgroup}, grid ${fn.grid.map(printCount).join(' × ')}`] : []),
  ]
  const names = fn.operands.map((o) => o.name)
  return [`kernel ${fn.name}`, ...operands, ...launch, '{', ...statements(fn.body, names, '  '), '}', ''].join('\n')
}
