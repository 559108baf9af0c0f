// The levels of the compiler against each other, on real weights: the graph as elaborated is the definition; the compiled
// kernels, evaluated in f64, must mean the same; their loops must be well formed on both machines; and for a tiny model the
// WASM loops, evaluated on the artifact's own bytes in the planned arena, give the same within f32. A number that goes wrong
// on a device shows here at which level.

import { partsOf } from '../../compiler/schedule/loops.ts'
import { expect, test } from 'vitest'
import { evaluateSteps } from '../../compiler/kernel/evaluate.ts'
import { inModelOrder } from '../../compiler/kernel/states.ts'
import type { KernelProgram } from '../../compiler/kernel/program.ts'
import { runGraphPasses } from '../../compiler/passes/pipeline.ts'
import { loopFaults } from '../../compiler/schedule/verify-loops.ts'
import { createReference, type StateValues } from '../../compiler/targets/reference/evaluate.ts'
import { type Compiled, compileForTest } from '../support/compiled.ts'
import { worstDifference } from '../support/goldens.ts'
import { type Call, callsOf, product, tensorsOf } from '../support/model-calls.ts'
import { runPlannedLoops } from '../support/planned-loops.ts'

// Model file, folder of its checkpoint, and how many ids one call may read.
const models: readonly (readonly [string, string, number])[] = [
  ['llama', 'llama', 16],
  ['llama', 'llama-gqa', 16],
  ['llama3', 'llama3-rope', 16],
  ['gpt2', 'gpt2', 16],
  ['openai_gpt', 'openai-gpt', 16],
  ['mistral', 'mistral', 16],
  ['mistral_ring', 'mistral', 4],
  ['mixtral', 'mixtral', 16],
  ['qwen2', 'qwen2', 16],
  ['gemma', 'gemma', 16],
  ['gpt_neo', 'gpt-neo', 16],
  ['bert', 'bert', 16],
  ['marian', 'marian', 16],
]

type RunEntry = (program: KernelProgram, call: Call, states: (path: string) => Float64Array) => readonly ArrayLike<number>[]

/** Results and states of every call, by the graphs and by `run`. */
function agree(compiled: Compiled, programs: readonly KernelProgram[], tolerance: number, run: RunEntry): void {
  const { graphs, results: targets } = compiled.compilation
  const { layout } = targets[0]!.plan!
  const reference = createReference(graphs, { weight: compiled.weight })
  const states = new Map(layout.states.map(({ path, dims }) => [path, new Float64Array(product(dims))]))
  let wantedStates: StateValues = new Map()
  for (const call of callsOf(compiled)) {
    const { entry, binding, inputs } = call
    const wanted = reference.run(entry.name, binding, inputs, wantedStates)
    wantedStates = wanted.states
    const results = run(programs.find((program) => program.entry === entry.name)!, call, (path) => states.get(path)!)
    expect(results.length).toBe(wanted.results.length)
    wanted.results.forEach(({ data }, i) =>
      expect(worstDifference(results[i]!, data), `${entry.name} result ${i}`).toBeLessThanOrEqual(tolerance),
    )
    for (const [path, data] of wantedStates)
      expect(
        worstDifference(inModelOrder(states.get(path)!, layout.states[layout.state(path)]!), data),
        `${entry.name} ${path}`,
      ).toBeLessThanOrEqual(tolerance)
  }
}

test.each(models)('%s, weights of %s: kernels mean what the graph means, loops are well formed', async (model, folder, maxSeq) => {
  const compiled = await compileForTest({ model, checkpoint: `hf-golden/${folder}`, targets: ['wasm', 'webgpu'], maxSeq })
  const { graphs, results } = compiled.compilation
  // What a device reads as tables of f32 are the graphs' constants in f64.
  const constants = new Map(graphs.flatMap((graph) => [...runGraphPasses(graph).constants]))
  // Without quantised activations both targets have the same kernels, in programs of their own.
  agree(compiled, results[0]!.programs, 1e-9, (program, { binding, inputs }, state) =>
    evaluateSteps(program, {
      binding,
      state,
      weight: (path) => compiled.weight(path).data,
      argument: (name) => inputs[name]!,
      constant: (id) => constants.get(id)!.data,
    }),
  )
  for (const { target, plan } of results) {
    expect(plan!.functions.size, target).toBeGreaterThan(0)
    expect([...plan!.functions.values()].flatMap(partsOf).flatMap(loopFaults)).toEqual([])
  }
})

test.each([
  ['llama', 'llama-gqa'],
  ['mixtral', 'mixtral'],
])('%s, weights of %s: WASM loops in the planned arena', async (model, folder) => {
  const compiled = await compileForTest({ model, checkpoint: `hf-golden/${folder}`, targets: ['wasm'], maxSeq: 4 })
  const { plan, programs } = compiled.compilation.results[0]!
  const tensor = await tensorsOf(compiled)
  agree(compiled, programs, 1e-4, (program, call, state) => {
    const entry = plan!.entries.find(({ info }) => info.name === program.entry)!
    const words = new Map(compiled.compilation.model.states.map(({ path }) => [path, Float32Array.from(state(path))]))
    const results = runPlannedLoops(plan!, entry, { tensor, state: (path) => words.get(path)! }, call.binding, call.inputs)
    for (const [path, values] of words) state(path).set(values)
    return results
  })
})
