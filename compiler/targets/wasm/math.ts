// Math functions of a module: those that its kernels call, each emitted once per type from schedule/math-loops.ts. (Vector math
// inside loops is not called but written in place, see functions.ts.)

import type binaryen from 'binaryen'
import { mathFunction } from '../../schedule/math-loops.ts'
import { FunctionEmitter, type MathSource } from './functions.ts'

const perModule = new WeakMap<binaryen.Module, Map<string, MathSource>>()

/** The math functions of this module: names such as `exp.f32x4`; `.relaxed` where madd may be fused. */
export function mathOf(module: binaryen.Module, relaxed: boolean): MathSource {
  const sources = perModule.get(module) ?? new Map<string, MathSource>()
  perModule.set(module, sources)
  const made = new Set<string>()
  const source: MathSource = (op, type) => {
    const name = `${op}.${type}${relaxed ? '.relaxed' : ''}`
    if (!made.has(name)) {
      made.add(name)
      const { params, body, result } = mathFunction(op, type)
      new FunctionEmitter(
        module,
        { relaxed },
        [],
        params.map((p) => ({ name: p, type })),
        source,
      ).add(name, body, result)
    }
    return name
  }
  const key = String(relaxed)
  const known = sources.get(key) ?? source
  sources.set(key, known)
  return known
}
