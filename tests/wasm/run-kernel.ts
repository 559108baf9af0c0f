// Runs one loop function on WebAssembly with the same call as the evaluator's: operands are copied into a memory with guard
// words around each, the kernel is called once, written operands are copied back, and the guards must be untouched.

import { evaluateCount } from '../../compiler/schedule/count.ts'
import binaryen from 'binaryen'
import type { LoopCall } from '../../compiler/schedule/evaluate-loops.ts'
import type { LoopFunction } from '../../compiler/schedule/loops.ts'
import { emitKernel } from '../../compiler/targets/wasm/emit.ts'

const guard = 0x5bd1e995

export interface Compiled {
  readonly binary: Uint8Array
  run(call: LoopCall): void
}

/** `shift` moves every operand by that many words, to leave 16-byte alignment. `pairs`: EmitOptions. */
export function compileKernel(fn: LoopFunction, relaxed: boolean, shift = 0, pairs = false): Compiled {
  const module = new binaryen.Module()
  module.setFeatures(binaryen.Features.All)
  module.setMemory(1, 65536, null, [], false, false, '0')
  module.addMemoryImport('0', 'env', 'memory', false)
  emitKernel(module, fn, { relaxed, pairs })
  module.addFunctionExport(fn.name, 'run')
  if (!module.validate()) throw new Error(`invalid module:\n${module.emitText()}`)
  const binary = module.emitBinary()
  module.dispose()
  const compiled = new WebAssembly.Module(binary as Uint8Array<ArrayBuffer>)
  return {
    binary,
    run(call) {
      const sizes = fn.operands.map((o, i) => call.memory[i]?.length ?? (o.memory.kind === 'scratch' ? o.memory.words : 0))
      let end = 16 + shift
      const starts = sizes.map((words) => {
        const at = end
        end += words + 16
        return at
      })
      const memory = new WebAssembly.Memory({ initial: Math.ceil((end * 4) / 65536), maximum: 65536 })
      const words = new Int32Array(memory.buffer).fill(guard)
      fn.operands.forEach((_, i) => {
        const given = call.memory[i]
        if (given) words.set(new Int32Array(given.buffer, given.byteOffset, given.length), starts[i])
      })
      const instance = new WebAssembly.Instance(compiled, { env: { memory } })
      const symbols = call.symbols ?? {}
      const rows = fn.rows ? [call.from ?? 0, call.to ?? evaluateCount(fn.rows.count, symbols)] : []
      const run = instance.exports.run as (...args: number[]) => void
      run(...starts.map((s) => s * 4), ...rows, ...fn.symbols.map((s) => symbols[s]!))
      fn.operands.forEach((o, i) => {
        const given = call.memory[i]
        const [from, to] = [starts[i]!, starts[i]! + sizes[i]!]
        if (given && o.access !== 'read') new Int32Array(given.buffer, given.byteOffset, given.length).set(words.subarray(from, to))
        for (let g = to; g < to + 16; g++) if (words[g] !== guard) throw new Error(`${fn.name} wrote past the end of ${o.name}`)
      })
    },
  }
}
