// The dispatches of a WebGPU program, each as an entry of its own: the program is taken apart into such entries, whose arguments
// and results are the operands of a kernel where they lie, and the runtime's own device runs them.

import { launchesOf } from '../../compiler/kernel/launches.ts'
import { sourceKey } from '../../compiler/kernel/program.ts'
import type { Operand } from '../../compiler/kernel/types.ts'
import type { EntryPlan, Plan } from '../../compiler/plan/plan.ts'
import { dispatchPlaces } from '../../compiler/targets/webgpu/dispatches.ts'
import type { Binding } from '../../dsl/affine.ts'
import type { EntryManifest, WebgpuProgram, WebgpuVariant } from '../../runtime/artifact/manifest.ts'
import type { Artifact } from '../../runtime/artifact/read.ts'
import { checkWebgpuProgram } from '../../runtime/artifact/check-manifest.ts'
import { parseJson } from '../../runtime/artifact/shape.ts'
import { packWebgpuProgram, unpackWebgpuProgram } from '../../runtime/artifact/webgpu-program.ts'
import type { Device } from '../../runtime/devices/device.ts'
import { createWebgpuDevice } from '../../runtime/devices/webgpu.ts'
import { arenaOffset, type KernelProbe, neededOperands, type ProbeMode, writtenOperands } from './probe.ts'
import { wordDims } from './words.ts'

type EntryProgram = WebgpuProgram['entries'][string]

const entryName = (entry: string, launch: number): string => `${entry} ${launch}`

class WebgpuProbe implements KernelProbe {
  readonly #device: Device
  readonly #plan: Plan
  readonly #mode: ProbeMode

  constructor(device: Device, plan: Plan, mode: ProbeMode) {
    this.#device = device
    this.#plan = plan
    this.#mode = mode
  }

  async run(
    entry: string,
    launch: number,
    symbols: Binding,
    inputs: ReadonlyMap<string, Int32Array>,
  ): Promise<ReadonlyMap<string, Int32Array>> {
    const { program } = this.#plan.entries.find(({ info }) => info.name === entry)!
    const given = Object.fromEntries(
      neededOperands(program, launch, this.#mode).map(({ source }) => [sourceKey(source), inputs.get(sourceKey(source))!]),
    )
    const states = this.#device.createStates()
    try {
      const results = await this.#device.run(entryName(entry, launch), symbols, given, states)
      return new Map(writtenOperands(launchesOf(program)[launch]!).map(({ source }, i) => [sourceKey(source), results[i] as Int32Array]))
    } finally {
      states.dispose()
    }
  }

  dispose(): void {
    this.#device.dispose()
  }
}

/** Loads program and weights. Errors: those of the device. */
export async function openWebgpuProbe(
  artifact: Artifact,
  variant: WebgpuVariant,
  plan: Plan,
  gpu: GPU,
  mode: ProbeMode,
): Promise<KernelProbe> {
  const program = checkWebgpuProgram(unpackWebgpuProgram(parseJson(await artifact.program(variant), variant.program)), artifact.manifest)
  const parts = plan.entries.flatMap((entry) => takeApart(entry, plan, program, mode))
  // Parts of entries draw no tokens.
  const { sampler: _, ...rest } = program
  const taken: WebgpuProgram = {
    ...rest,
    entries: Object.fromEntries(parts.map(({ manifest, program: part }) => [manifest.name, part])),
  }
  const bytes = new TextEncoder().encode(JSON.stringify(packWebgpuProgram(taken)))
  const own: Artifact = {
    ...artifact,
    manifest: { ...artifact.manifest, entries: parts.map(({ manifest }) => manifest) },
    program: async () => bytes,
  }
  return new WebgpuProbe(await createWebgpuDevice(own, variant, gpu), plan, mode)
}

function takeApart(
  entry: EntryPlan,
  { layout, functions }: Plan,
  program: WebgpuProgram,
  mode: ProbeMode,
): { manifest: EntryManifest; program: EntryProgram }[] {
  const whole = program.entries[entry.info.name]!
  const arena = program.buffers.findIndex(({ kind }) => kind === 'arena')
  const placeOf = (operand: Operand): { buffer: number; offset: number } => {
    const { source } = operand
    if (source.kind !== 'state') return { buffer: arena, offset: arenaOffset(entry, operand) }
    const state = layout.state(source.path)
    return { buffer: program.buffers.findIndex((buffer) => buffer.kind === 'state' && buffer.state === state), offset: 0 }
  }
  const places = dispatchPlaces(entry.program.steps, functions)
  return launchesOf(entry.program).map((launch, index) => {
    const needed = neededOperands(entry.program, index, mode)
    const written = writtenOperands(launch)
    return {
      manifest: {
        name: entryName(entry.info.name, index),
        arguments: needed.map((operand) => ({
          kind: 'tensor',
          name: sourceKey(operand.source),
          dtype: 'i32',
          dims: wordDims(operand),
          labels: [],
        })),
        symbols: entry.info.symbols,
        limits: [],
        results: written.map((operand) => ({ dtype: 'i32', dims: wordDims(operand), labels: [] })),
      },
      program: {
        symbols: whole.symbols,
        arguments: Object.fromEntries(needed.map((operand) => [sourceKey(operand.source), placeOf(operand)])),
        results: written.map(placeOf),
        // Other kernels of its dispatch find nothing and harm nobody.
        dispatches: whole.dispatches.slice(mode === 'alone' ? places[index]!.from : 0, places[index]!.to),
      },
    }
  })
}
