// The targets: siblings with the same file names in their folders. A new target is a folder and a row.

import type { WebgpuProgram } from '../../runtime/artifact/manifest.ts'
import type { VariantContents } from '../artifact/write.ts'
import type { PartsOf } from '../cost-model.ts'
import type { Plan } from '../plan/plan.ts'
import type { ByteBlocks } from '../schedule/activation-blocks.ts'
import { type Machine, wasmMachine, webgpuMachine } from '../schedule/machine.ts'
import { sumsBytes } from '../schedule/byte-sums.ts'
import type { EmitOptions } from './wasm/functions.ts'
import { lowerWasm } from './wasm/lower.ts'
import type { BuildProgram, WasmProgram } from './wasm/program.ts'
import { packedDots } from './webgpu/dispatch.ts'
import { dispatcher } from './webgpu/dispatches.ts'
import { lowerWebgpu } from './webgpu/lower.ts'

export interface LowerOptions {
  readonly math: 'fast' | 'strict'
  /** False: the target's memory is too small, the program is for reading only, and whoever asked for it was told (L601). */
  readonly fits: boolean
  /** 64-bit addresses where 32 would do: for tests. */
  readonly wide?: boolean
  /** Who builds WASM modules. */
  readonly build?: BuildProgram | undefined
}

/** binaryen is megabytes of code: it is loaded by whoever builds a module. */
const wasmModules = () => import('./wasm/module.ts')
const buildHere: BuildProgram = async (program, options) => (await wasmModules()).buildModule(program, options).binary

export interface Lowered {
  readonly variants: readonly VariantContents[]
  /** The program as people read it: WAT, WGSL. */
  readonly text?: { readonly name: 'wat' | 'wgsl'; print(): string | Promise<string> }
}

export interface Target {
  /** Absent: evaluates graphs and needs no loops. */
  readonly machine?: Machine
  /** What quantised weights are multiplied with where nobody says it, by math. */
  readonly activations: Readonly<Record<LowerOptions['math'], Activations>>
  /** How activations lie in memory that are rounded to 8 bits. */
  readonly byteBlocks: ByteBlocks
  readonly lower?: (plan: Plan, options: LowerOptions) => Lowered
  /** What runs as one of a step's kernels, by the loops of every kernel; absent: each by itself. */
  readonly dispatches?: (functions: Plan['functions']) => PartsOf
}

/** Every kernel of a step by itself. */
export const eachKernel =
  (functions: Plan['functions']): PartsOf =>
  (step) =>
    (step.kind === 'kernel' ? [step.kernel] : step.kernels).map((kernel) => ({ fn: functions.get(kernel.name)!, kernels: [kernel] }))

/** What meets quantised weights: activations as they are, or rounded to 8 bits in blocks of 32. */
export type Activations = 'f32' | 'int8'

export type TargetName = 'wasm' | 'webgpu' | 'reference'

/** How the instructions of a WASM program may be written, by what that needs of an engine; the best first. */
const wasmForms: readonly (EmitOptions & { readonly needs: readonly string[] })[] = [
  { needs: ['relaxed-simd', 'pair-dots'], relaxed: true, pairs: true },
  { needs: ['relaxed-simd'], relaxed: true },
  { needs: [], relaxed: false },
]

/** What quantised weights meet on a target; undefined where graphs are evaluated as they are. */
export const activationsOf = (
  target: TargetName,
  { math, activations }: { readonly math: LowerOptions['math']; readonly activations?: Activations | undefined },
): Activations | undefined => targets[target].machine && (activations ?? targets[target].activations[math])

/** One program for all: what its modules may be written for, the best first. Order is that of `forms`. */
const webgpuNeeds: readonly (readonly string[])[] = [[packedDots], []].flatMap((dots) =>
  [['shader-f16', 'subgroups'], ['shader-f16'], ['subgroups'], []].map((needs) => [...needs, ...dots]),
)

/** Those that differ for this program: all that one needs is needed by some module. */
function webgpuVariants(program: WebgpuProgram): VariantContents[] {
  const used = new Set(program.modules.flatMap(({ forms = [] }) => forms.flatMap(({ requires }) => requires)))
  return webgpuNeeds
    .filter((requires) => requires.every((name) => used.has(name)))
    .map((requires) => ({ target: 'webgpu', requires, program }))
}

/** Those that differ for this program. */
const formsOf = (program: WasmProgram, math: LowerOptions['math']): typeof wasmForms =>
  wasmForms.filter(({ relaxed, pairs }) => (math === 'fast' || !relaxed) && (!pairs || program.kernels.some(sumsBytes)))

export const targets: Readonly<Record<TargetName, Target>> = {
  wasm: {
    machine: wasmMachine,
    activations: { fast: 'int8', strict: 'f32' },
    byteBlocks: 'a8',
    lower(plan, { math, fits, wide = false, build = buildHere }) {
      const { program, memory, entries, threads } = lowerWasm(plan, { fits, wide })
      const forms = formsOf(program, math)
      // The runtime takes the first variant whose needs are met: relaxed SIMD passes a numeric self-test, its dots are made of
      // pairs; threads are wanted and memory can be shared, or one thread runs alone.
      const variants = forms.flatMap(({ needs, ...form }) =>
        [true, false].map((shared): VariantContents => {
          const requires = [...needs, ...(program.wide ? ['memory64'] : []), ...(shared ? ['threads'] : [])]
          // Built when it is asked for: a machine that compiles for itself takes one of them.
          const built = () => build(program, { ...form, shared })
          return { target: 'wasm', requires, program: built, memory, entries, ...(shared ? { threads } : {}) }
        }),
      )
      const print = async (): Promise<string> => (await wasmModules()).buildModule(program, { ...forms[0]!, text: true }).text!
      return { variants, text: { name: 'wat', print } }
    },
  },
  webgpu: {
    machine: webgpuMachine,
    activations: { fast: 'f32', strict: 'f32' },
    byteBlocks: 'd8',
    dispatches: dispatcher,
    lower(plan, { math }) {
      const program = lowerWebgpu(plan, { subgroups: math === 'fast' })
      const print = (): string => program.modules.map(({ name, wgsl }) => `// ${name}\n${wgsl}`).join('\n')
      return { variants: webgpuVariants(program), text: { name: 'wgsl', print } }
    },
  },
  reference: { activations: { fast: 'f32', strict: 'f32' }, byteBlocks: 'a8' },
}
