// One case through every level (check-levels.ts) in every pass configuration. Configurations whose programs print alike are run once.

import { tensorBytes } from '../../compiler/artifact/contents.ts'
import { planGraphs } from '../../compiler/compile.ts'
import { printGraph } from '../../compiler/graph/print.ts'
import type { Graph } from '../../compiler/graph/types.ts'
import { printProgram } from '../../compiler/kernel/print.ts'
import { graphPasses, optionalPasses, runGraphPasses } from '../../compiler/passes/pipeline.ts'
import type { CacheFormat } from '../../compiler/plan/caches.ts'
import type { Plan } from '../../compiler/plan/plan.ts'
import { type Machine, webgpuMachine } from '../../compiler/schedule/machine.ts'
import { packedDots } from '../../compiler/targets/webgpu/dispatch.ts'
import { functionsWithSubgroups, lowerWebgpu } from '../../compiler/targets/webgpu/lower.ts'
import { programFor } from '../../runtime/artifact/manifest.ts'
import { LlamacError } from '../../runtime/error.ts'
import type { Team } from '../support/planned-loops.ts'
import { boundWeights, type Case, modelOf } from './case.ts'
import { type CheckOptions, Levels, type WrittenProgram } from './check-levels.ts'
import { count, notePasses, noteProgram, storagePasses } from './check-report.ts'
import { Failure } from './compare.ts'
import { type Configuration, configurations, everything, nothing } from './configurations.ts'
import { choicesFrom } from './grower.ts'
import { nodesOf } from './random-graph.ts'

/** What WebGPU's devices have; more than a workgroup has is all of it. */
const subgroupSizes = [4, 8, 16, 32, 64, 128]

/** What devices may have that modules have forms for. */
const formsOfDevices = [['subgroups'], ['shader-f16'], ['shader-f16', 'subgroups']]

/** Threads that run their parts between two barriers one after the other: the last one first, or another one each time. */
const teams: readonly Team[] = [
  { threads: 3, order: () => [2, 1, 0] },
  { threads: 2, order: (epoch) => (epoch % 2 === 0 ? [0, 1] : [1, 0]) },
]

const isGraphPass = (name: string): boolean => graphPasses.some((pass) => pass.name === name)

class Check extends Levels {
  /** Graphs are asked for again and again. */
  readonly simple = new Map<string, Graph>()

  simplified(disabledPasses: readonly string[]): Graph {
    const left = disabledPasses.filter((name) => !storagePasses.includes(name) && isGraphPass(name))
    const known = this.simple.get(left.join()) ?? runGraphPasses(this.case.graph, { disabledPasses: left, verify: true })
    this.simple.set(left.join(), known)
    return known
  }

  /** The plain program, and in the default configuration what another kind of device would run instead. */
  writtenForms(plan: Plan, configuration: Configuration): readonly WrittenProgram[] {
    const program = lowerWebgpu(plan, { subgroups: true })
    const plain = { level: 'WGSL', program }
    if (!this.options.forms || configuration !== everything) return [plain]
    const has = this.options.pipelines!.device.features
    const native = formsOfDevices
      .filter((needs) => needs.every((name) => has.has(name)))
      .map((needs) => ({ level: `WGSL with ${needs.join(' and ')}`, program: programFor(program, [...needs, packedDots]) }))
    const subgroup = subgroupSizes[this.report.programs % 7]
    if (subgroup === undefined || has.has('shader-f16')) return [plain, ...native]
    const emulated = lowerWebgpu(plan, { subgroups: true, emulated: { subgroup } })
    return [
      plain,
      { level: `WGSL with subgroups of ${subgroup} and f16`, program: programFor(emulated, ['shader-f16', 'subgroups', packedDots]) },
    ]
  }

  async configuration(configuration: Configuration, math: 'fast' | 'strict', cache: CacheFormat = 'f32'): Promise<void> {
    const { disabled } = configuration
    this.report.configurations++
    const simple = this.at('graph passes', configuration, () => this.simplified(disabled))
    const later = ['quantise-activations', 'fuse', 'merge-siblings', 'order-states'].filter(
      (pass) => disabled.includes(pass) && (pass !== 'quantise-activations' || (this.quantised && math === 'fast')),
    )
    const key = `${math} ${cache} ${later.join()}\n${this.textOf(simple)}`
    if (this.seen.has(key)) return
    this.seen.add(key)
    const isDefault = configuration === everything
    const withWgsl = this.options.levels.has('webgpu') && math === 'fast' && (isDefault || configuration === nothing)
    // The default goes the whole way; others begin with the graph that they gave, which no pass needs to change again.
    const [graph, left] = isDefault
      ? [this.case.graph, disabled]
      : [simple, [...disabled, ...optionalPasses.filter((name) => isGraphPass(name) && !storagePasses.includes(name))]]
    if (this.options.levels.has('wasm')) await this.target('wasm', graph, left, math, configuration, cache)
    if (withWgsl) await this.target('webgpu', graph, left, math, configuration, cache)
    if (isDefault && cache === 'f32') notePasses(this.report, this.case.graph, simple)
  }

  async target(
    target: 'wasm' | 'webgpu',
    graph: Graph,
    disabledPasses: readonly string[],
    math: 'fast' | 'strict',
    configuration: Configuration,
    cache: CacheFormat,
  ): Promise<void> {
    const plan = (machine: Partial<Machine>) =>
      this.at(`compiling for ${target}`, configuration, () => {
        const planned = planGraphs(modelOf(this.case), [graph], {
          targets: [target],
          disabledPasses,
          math,
          cache,
          weights: boundWeights(this.case),
          verify: true,
          // WebGPU rounds activations where it is asked to: in every second graph.
          ...(target === 'webgpu' && this.textOf(graph).length % 2 === 0 ? { activations: 'int8' as const } : {}),
          ...(target === 'webgpu' ? { machines: { webgpu: { ...webgpuMachine, ...machine } } } : {}),
        })
        return { made: planned.targets[0]!, tensors: planned.tensors.map(tensorBytes) }
      })
    let planned: ReturnType<typeof plan>
    try {
      planned = this.inSmallMemory(plan)
    } catch (cause) {
      if (!(cause instanceof LlamacError)) throw cause
      count(this.report.refused, cause.code)
      return
    }
    const { made, tensors } = planned
    if (configuration === everything && math === 'fast') noteProgram(this.report, this.case.graph, made, target, cache)
    const key = `${target}\n${printProgram(made.programs[0]!)}`
    if (this.seen.has(key)) return
    this.seen.add(key)
    this.report.programs++
    this.graph(made.graphs[0]!, configuration)
    this.kernels(made, target, configuration)
    this.loops(made, tensors, target, configuration)
    if (target === 'wasm' && configuration === everything)
      for (const team of teams) this.loops(made, tensors, target, configuration, { team })
    if (target === 'webgpu') {
      const plan = { ...made.plan!, functions: functionsWithSubgroups(made.plan!) }
      this.loops({ ...made, plan }, tensors, target, configuration, {
        subgroup: subgroupSizes[this.report.programs % subgroupSizes.length]!,
      })
      if (!this.options.pipelines) return
      for (const written of this.writtenForms(made.plan!, configuration)) await this.wgsl(made, tensors, configuration, written)
      return
    }
    const both = configuration === everything || configuration === nothing
    if (both || math === 'strict') this.wasm(made, tensors, false, configuration)
    if (math === 'fast') this.wasm(made, tensors, true, configuration)
  }

  /**
   * Bindings that weights must be cut for, dispatches that are too long from 64 multiply-adds on, scratch memory that leaves a few words for
   * a tile of a row, tiles of tokens from two on, and short chunks of positions: as small as the case says. What a machine refuses has its own size in the next attempt:
   * not every kernel can be cut.
   */
  inSmallMemory<T>(plan: (machine: Partial<Machine>) => T): T {
    const { bindingBytes, graph } = this.case
    const scratch = [2, 5, 24, undefined][nodesOf(graph).length % 4]
    let machine: Partial<Machine> = {
      shortestTile: 2,
      shortestChunk: [2, 4, webgpuMachine.shortestChunk][nodesOf(graph).length % 3]!,
      ...(bindingBytes > 0 ? { bindingBytes } : {}),
      ...(bindingBytes === 512 ? { dispatchMadds: 64 } : {}),
      ...(scratch === undefined ? {} : { scratchWords: webgpuMachine.threads + scratch }),
    }
    for (;;) {
      try {
        return plan(machine)
      } catch (cause) {
        if (!(cause instanceof LlamacError)) throw cause
        const { bindingBytes: bindings, scratchWords, ...rest } = machine
        if (cause.code === 'E_TENSOR_TOO_LARGE' && bindings !== undefined)
          machine = { ...rest, ...(scratchWords === undefined ? {} : { scratchWords }) }
        else if (cause.code === 'E_SCRATCH' && scratchWords !== undefined)
          machine = { ...rest, ...(bindings === undefined ? {} : { bindingBytes: bindings }) }
        else throw cause
      }
    }
  }
}

/** Throws a Failure, or returns when all levels agree. */
export async function checkCase(random: Case, options: CheckOptions): Promise<void> {
  let check: Check
  try {
    check = new Check(random, options)
  } catch (cause) {
    throw new Failure('crash', 'reference', everything.name, `${(cause as Error).message}\n${(cause as Error).stack}`)
  }
  check.text()
  check.reference()
  // Deterministic for a case: random subsets follow from its text.
  const text = printGraph(random.graph)
  const tape = Array.from({ length: 64 }, (_, i) => (text.charCodeAt((i * 97 + 11) % text.length) * 31 + i * 7) >>> 2)
  for (const configuration of configurations(choicesFrom(tape))) await check.configuration(configuration, 'fast')
  if (random.states.some(({ dtype }) => dtype === 'f32'))
    for (const cache of ['f16', 'q8_0'] as const) await check.configuration(everything, 'fast', cache)
  if (check.quantised) for (const configuration of [everything, nothing]) await check.configuration(configuration, 'strict')
}
