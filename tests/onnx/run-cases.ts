// Runs cases at each level: the graph by the reference, the optimised graph as kernels, and compiled programs. A level's answer
// is the results of each case, or the message of what went wrong with it.

import { evaluateSteps } from '../../compiler/kernel/evaluate.ts'
import { buildKernels } from '../../compiler/kernel/steps.ts'
import { mergeSiblings } from '../../compiler/passes/merge-siblings.ts'
import { runGraphPasses } from '../../compiler/passes/pipeline.ts'
import { builtGraph, builtReference, type Call, type CompiledOn, weightData, withCompiled } from '../support/built-model.ts'
import type { Case } from './adapt.ts'
import type { OnnxTensor } from './read-vectors.ts'
import { count, f32Max } from './translate.ts'

export type Results = readonly ArrayLike<number>[]
export type Answer = Results | Error

const relative = 1e-3
const absolute = 1e-7

/** ONNX's tolerance for floats; integers and truth values are exact. ±inf is what is not less than the largest finite f32. */
function near(actual: number, expected: number, float: boolean): boolean {
  if (Math.abs(expected) === Number.POSITIVE_INFINITY) return actual * Math.sign(expected) >= f32Max
  return float ? Math.abs(actual - expected) <= absolute + relative * Math.abs(expected) : actual === expected
}

/** What differs, or undefined. */
export function difference(actual: Results, expected: readonly OnnxTensor[]): string | undefined {
  for (const [i, { name, type, data }] of expected.entries()) {
    const float = type.includes('float')
    if (actual[i]!.length !== data.length) return `${name} has ${actual[i]!.length} elements instead of ${data.length}`
    const at = data.findIndex((value, k) => !near(actual[i]![k]!, value, float))
    if (at >= 0) return `${name}[${at}] is ${actual[i]![at]} instead of ${data[at]}`
  }
  return undefined
}

const caught = <T>(run: () => T): T | Error => {
  try {
    return run()
  } catch (cause) {
    return cause instanceof Error ? cause : new Error(String(cause))
  }
}

/** The graph as it was built, in f64. */
export const byReference = ({ name, entry, inputs }: Case): Answer =>
  caught(() =>
    builtReference(entry)
      .run(name, {}, inputs)
      .results.map(({ data }) => data),
  )

/** The graph after all passes, as kernels, in f64. */
export const byKernels = ({ entry, inputs }: Case): Answer =>
  caught(() => {
    const graph = runGraphPasses(builtGraph(entry), { verify: true })
    const program = mergeSiblings(buildKernels(graph))
    const states = new Map(entry.states.map(({ path, dims }) => [path, new Float64Array(count(dims))]))
    return evaluateSteps(program, {
      binding: {},
      weight: (path) => weightData(entry, path),
      argument: (argument) => inputs[argument]!,
      constant: (id) => graph.constants.get(id)!.data,
      state: (path) => states.get(path)!,
    })
  })

/** Cases as entries of one artifact; where that cannot be compiled, it is cut in two until it is clear whose fault that is. */
export async function byTarget(cases: readonly Case[], on: CompiledOn): Promise<Map<string, Answer>> {
  if (cases.length === 0) return new Map()
  const entries = cases.map(({ entry }) => entry)
  const run = async (call: Call): Promise<Map<string, Answer>> => {
    const answers = new Map<string, Answer>()
    for (const { name, inputs } of cases) {
      const answer = call(name, inputs).then(
        (results): Answer => results.map(({ values }) => values),
        (cause: Error) => cause,
      )
      answers.set(name, await answer)
    }
    return answers
  }
  try {
    return await withCompiled(entries, on, run)
  } catch (cause) {
    if (cases.length === 1) return new Map([[cases[0]!.name, cause as Error]])
    const middle = cases.length >> 1
    const [first, second] = [await byTarget(cases.slice(0, middle), on), await byTarget(cases.slice(middle), on)]
    return new Map([...first, ...second])
  }
}
