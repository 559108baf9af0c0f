// Runs a WASM variant as the compiler made it, over bare memory: tensors where the manifest wants them, the arena full of NaNs,
// and everything that the program must not touch compared afterwards with what it was.

import type { EntryInfo } from '../../dsl/model.ts'
import type { StateManifest } from '../../runtime/artifact/manifest.ts'
import { type Binding, evaluate } from '../../dsl/affine.ts'

import type { LoweredWasm } from '../../compiler/targets/wasm/lower.ts'
import { createMemory } from '../../runtime/devices/wasm.ts'

const guard = 0x5bd1e995
const poison = 0x7fc0dead
const guardBytes = 1024

export interface Session {
  /** One call: results as the device gives them. */
  call(binding: Binding, inputs: Readonly<Record<string, Float64Array>>): (Int32Array | Float32Array)[]
  /** A state's words after the calls so far. */
  state(index: number): Int32Array
}

/** A session of one entry; `tensors` are the stored bytes in order. */
export function openWasm(
  binary: Uint8Array<ArrayBuffer>,
  lowered: LoweredWasm,
  info: EntryInfo,
  states: readonly StateManifest[],
  tensors: readonly Uint8Array[],
): Session {
  const { memory: layout } = lowered
  const entry = lowered.entries[info.name]!
  const end = layout.statesBase + layout.stateBytes + guardBytes
  const { wide = false } = lowered.program
  const memory = createMemory(end, false, wide)
  const words = new Int32Array(memory.buffer)
  words.fill(guard)
  words.fill(0, layout.statesBase / 4, (layout.statesBase + layout.stateBytes) / 4)
  for (const [i, address] of layout.tensors.entries()) new Uint8Array(memory.buffer).set(tensors[i]!, address)
  const instance = new WebAssembly.Instance(new WebAssembly.Module(binary), { env: { memory } })
  const program = instance.exports[entry.export] as (...args: number[]) => void
  const floats = new Float32Array(memory.buffer)
  // Alignment gaps between the states belong to nobody.
  for (const [i, { offset, bytes }] of states.entries())
    words.fill(guard, (layout.statesBase + offset + bytes) / 4, (layout.statesBase + (states[i + 1]?.offset ?? layout.stateBytes)) / 4)
  const arena = [layout.arenaBase / 4, (layout.arenaBase + layout.arenaBytes) / 4] as const
  const owned = states.map(({ offset, bytes }) => [(layout.statesBase + offset) / 4, (layout.statesBase + offset + bytes) / 4] as const)
  const free = [arena, ...owned].sort(([a], [b]) => a - b)
  const before = words.slice()

  return {
    call(binding, inputs) {
      words.fill(poison, ...arena)
      for (const argument of info.arguments) {
        if (argument.kind !== 'tensor') continue
        const view = argument.type.dtype === 'i32' ? words : floats
        view.set(inputs[argument.name]!, entry.arguments[argument.name]! / 4)
      }
      program(wide ? layout.statesBase / 256 : layout.statesBase, ...entry.symbols.map((name) => binding[name]!))
      let from = 0
      for (const [start, stop] of [...free, [words.length, words.length] as const]) {
        for (let i = from; i < start; i++)
          if (words[i] !== before[i]) throw new Error(`out of bounds: the program wrote the word at ${i * 4}, outside arena and states`)
        from = stop
      }
      return info.results.map(({ type }, i) => {
        const count = type.dims.reduce((product, dim) => product * evaluate(dim, binding), 1)
        const view = type.dtype === 'i32' || type.dtype === 'bool' ? words : floats
        return view.slice(entry.results[i]! / 4, entry.results[i]! / 4 + count)
      })
    },
    state: (index) => words.slice(...owned[index]!),
  }
}
