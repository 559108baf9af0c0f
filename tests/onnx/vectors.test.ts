// ONNX's node tests: numbers that others computed, against every level of the compiler. A case passes if the reference, the
// kernels (all passes, in f64) and WebAssembly give what ONNX expects within its own tolerance: once with all inputs as arguments,
// and once with every f32 input but the first as a weight and relaxed SIMD. What does not pass is listed with what is missing;
// the lists are goldens. What passes must pass on WebGPU too.

import { beforeAll, describe, expect, test } from 'vitest'
import { createSoftwareGpu } from '../support/dawn.ts'
import { adapt, type Case, nameOf, opOf } from './adapt.ts'
import { Missing, readCases, type StoredCase } from './read-vectors.ts'
import { type Answer, byKernels, byReference, byTarget, difference } from './run-cases.ts'

/** Why each case of a file does not pass, by name; those that pass are in `passed`. */
interface Outcome {
  readonly passed: readonly Case[]
  readonly reasons: ReadonlyMap<string, string>
}

function adapted(stored: StoredCase, asWeights: boolean): Case | string {
  try {
    return adapt(stored, asWeights)
  } catch (cause) {
    if (cause instanceof Missing) return cause.message
    throw cause
  }
}

const fault = (answer: Answer, { expected }: Case): string | undefined =>
  answer instanceof Error ? answer.message.split('\n')[0] : difference(answer, expected)

async function judge(stored: readonly StoredCase[]): Promise<Outcome> {
  const reasons = new Map<string, string>()
  const at = (level: string, each: Case, answer: Answer): void => {
    const found = fault(answer, each)
    if (found !== undefined && !reasons.has(each.name)) reasons.set(each.name, `${level}: ${found}`)
  }
  const cases = [false, true].map((asWeights) =>
    stored.flatMap((each) => {
      const result = adapted(each, asWeights)
      if (typeof result === 'object') return [result]
      reasons.set(nameOf(each), result)
      return []
    }),
  )
  const [plain, weighted] = [cases[0]!, cases[1]!.filter(({ entry }) => entry.weights.length > 0)]
  for (const each of plain) {
    at('reference', each, byReference(each))
    at('kernels', each, byKernels(each))
  }
  const onWasm = await byTarget(plain, { target: 'wasm' })
  for (const each of plain) at('wasm', each, onWasm.get(each.name)!)
  const withWeights = await byTarget(weighted, { target: 'wasm', math: 'fast' })
  for (const each of weighted) at('wasm, weights', each, withWeights.get(each.name)!)
  return { passed: plain.filter(({ name }) => !reasons.has(name)), reasons }
}

function summary(stored: readonly StoredCase[], { reasons }: Outcome): string {
  const groups = Map.groupBy(stored, opOf)
  const lines = [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([op, cases]) => {
      const good = cases.filter((each) => !reasons.has(nameOf(each))).length
      return `  ${op.padEnd(32)} ${String(good).padStart(3)} of ${cases.length}`
    })
  return [`${stored.length - reasons.size} of ${stored.length} cases pass`, ...lines].join('\n')
}

const missing = ({ reasons }: Outcome): string =>
  [...reasons]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, reason]) => `${name}: ${reason}\n`)
    .join('')

/** One value of each case, larger by a hundredth, or by one where it is an integer. */
function spoilt({ expected }: Case): Case['expected'] | undefined {
  const which = expected.findIndex(({ data }) => data.some((value) => Number.isFinite(value)))
  if (which < 0) return undefined
  const { type, data } = expected[which]!
  const at = data.findIndex((value) => Number.isFinite(value))
  const other = type.includes('float') ? data[at]! * 1.01 + 1e-6 : data[at]! + 1
  return expected.with(which, { ...expected[which]!, data: data.with(at, other) })
}

// File, the list of what does not pass, and the least number of cases that have to.
describe.each([
  ['vectors-llm.jsonl', 'onnx-missing.txt', 190],
  ['vectors-other.jsonl', 'onnx-missing-other.txt', 250],
])('%s', (file, golden, least) => {
  const stored = readCases(file)
  let outcome: Outcome

  beforeAll(async () => {
    outcome = await judge(stored)
    console.log(`${file}: ${summary(stored, outcome)}`)
  })

  test('what does not pass, and why', async () => {
    expect(outcome.passed.length).toBeGreaterThanOrEqual(least)
    expect(outcome.passed.length + outcome.reasons.size).toBe(stored.length)
    await expect(missing(outcome)).toMatchFileSnapshot(`../golden/${golden}`)
  })

  test('a wrong number would be noticed', () => {
    const tried = outcome.passed.flatMap((each) => {
      const wrong = spoilt(each)
      return wrong ? [fault(byReference(each), { ...each, expected: wrong })] : []
    })
    expect(tried.length).toBeGreaterThan(least / 2)
    expect(tried).not.toContain(undefined)
  })

  test('WebGPU gives the same', async () => {
    const answers = await byTarget(outcome.passed, { target: 'webgpu', gpu: await createSoftwareGpu() })
    const faults = outcome.passed.flatMap((each) => fault(answers.get(each.name)!, each) ?? [])
    expect(faults).toEqual([])
  })
})
