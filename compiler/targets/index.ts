// The targets: siblings with the same file names in their folders. A new target is a folder and a row.

import type { VariantContents } from '../artifact/write.ts'
import type { Plan } from '../plan/plan.ts'
import { type Machine, wasmMachine, webgpuMachine } from '../schedule/machine.ts'
import { sumsBytes } from '../schedule/byte-sums.ts'
import type { EmitOptions } from './wasm/functions.ts'
import { lowerWasm } from './wasm/lower.ts'
import { buildModule } from './wasm/module.ts'
import type { WasmProgram } from './wasm/program.ts'
import { lowerWebgpu } from './webgpu/lower.ts'

export interface LowerOptions {
  readonly math: 'fast' | 'strict'
  /** False: the target's memory is too small, the program is for reading only, and whoever asked for it was told (L601). */
  readonly fits: boolean
}

export interface Target {
  /** Absent: evaluates graphs and needs no loops. */
  readonly machine?: Machine
  /** Multiplies 8-bit activations with quantised weights under --math fast. */
  readonly quantisedActivations: boolean
  readonly lower?: (
    plan: Plan,
    options: LowerOptions,
  ) => { readonly variants: readonly VariantContents[]; readonly texts: ReadonlyMap<string, string> }
}

export type TargetName = 'wasm' | 'webgpu' | 'reference'

/** How the instructions of a WASM program may be written, by what that needs of an engine; the best first. */
const wasmForms: readonly (EmitOptions & { readonly needs: readonly string[] })[] = [
  { needs: ['relaxed-simd', 'pair-dots'], relaxed: true, pairs: true },
  { needs: ['relaxed-simd'], relaxed: true },
  { needs: [], relaxed: false },
]

/** Those that differ for this program. */
const formsOf = (program: WasmProgram, math: LowerOptions['math']): typeof wasmForms =>
  wasmForms.filter(({ relaxed, pairs }) => (math === 'fast' || !relaxed) && (!pairs || program.kernels.some(sumsBytes)))

export const targets: Readonly<Record<TargetName, Target>> = {
  wasm: {
    machine: wasmMachine,
    quantisedActivations: true,
    lower(plan, { math, fits }) {
      const { program, memory, entries, threads } = lowerWasm(plan, { fits })
      const texts = new Map<string, string>()
      // The runtime takes the first variant whose needs are met: relaxed SIMD passes a numeric self-test, its dots are made of
      // pairs; threads are wanted and memory can be shared, or one thread runs alone.
      const variants = formsOf(program, math).flatMap(({ needs, ...form }) =>
        [true, false].map((shared): VariantContents => {
          const { binary, text } = buildModule(program, { ...form, shared, text: !shared && texts.size === 0 })
          if (text) texts.set('wat', text)
          const requires = [...needs, ...(shared ? ['threads'] : [])]
          return { target: 'wasm', requires, program: binary, memory, entries, ...(shared ? { threads } : {}) }
        }),
      )
      return { variants, texts }
    },
  },
  webgpu: {
    machine: webgpuMachine,
    quantisedActivations: false,
    lower(plan) {
      const program = lowerWebgpu(plan)
      const texts = new Map([['wgsl', program.modules.map(({ name, wgsl }) => `// ${name}\n${wgsl}`).join('\n')]])
      return { variants: [{ target: 'webgpu', requires: [], program }], texts }
    },
  },
  reference: { quantisedActivations: false },
}
