// A program given as text, from check to numbers: what its entries give, by the reference and by WebAssembly.

import { packArtifact } from '../../../compiler/artifact/write.ts'
import { compileModel } from '../../../compiler/compile.ts'
import { createReferenceDevice } from '../../../compiler/targets/reference/device.ts'
import type { BoundWeight } from '../../../compiler/weights/index.ts'
import { loadModel, type Numbers } from '../../../dsl/index.ts'
import { load, memoryFiles } from '../../../runtime/index.ts'
import { readProject, summary } from '../read-models.ts'

export type Flat = number | readonly number[]
/** `[entry, arguments, what it gives]`; tensors are row-major. */
export type Call = readonly [entry: string, inputs: Readonly<Record<string, Flat>>, gives: Flat]

export interface Program {
  /** The file test.dsl; what it imports besides stands in `files`. */
  readonly text: string
  readonly files?: Readonly<Record<string, string>>
  readonly numbers?: Numbers
  /** Values by path; a weight that is not named counts 1, 2, 3, … */
  readonly weights?: Readonly<Record<string, readonly number[]>>
}

export type Outcome =
  | { readonly wrong: readonly string[] }
  | { readonly wrong: readonly []; readonly reference: readonly (readonly number[])[]; readonly wasm: readonly (readonly number[])[] }

const product = (dims: readonly number[]): number => dims.reduce((all, dim) => all * dim, 1)

/** Runs the calls in order on one session of each device; or what was said about the program, warnings too. */
export async function runProgram({ text, files = {}, numbers = {}, weights = {} }: Program, calls: readonly Call[]): Promise<Outcome> {
  const own: Readonly<Record<string, string>> = { ...files, 'test.dsl': text }
  const loaded = loadModel('test.dsl', (path) => own[path] ?? readProject(path))
  const made = loaded.model?.specialise(numbers)
  const said = [...loaded.diagnostics, ...(made?.diagnostics ?? [])]
  if (said.length > 0 || !made?.model) return { wrong: summary(said) }
  const { model } = made
  const values = new Map(
    model.weights
      .filter(({ tied }) => tied === undefined)
      .map(({ path, dims }) => [path, { dims, data: Float64Array.from(weights[path] ?? { length: product(dims) }, (v, i) => v ?? i + 1) }]),
  )
  const ties = new Map(model.weights.map(({ path, tied }) => [path, tied]))
  const bound = new Map(
    [...values].map(([path, { dims, data }]): [string, BoundWeight] => [
      path,
      { path, dims, format: 'f32', read: () => new Uint8Array(Float32Array.from(data).buffer) },
    ]),
  )
  const { compilation, diagnostics } = compileModel(model, {
    targets: ['wasm'],
    math: 'strict',
    quant: 'none',
    weights: bound,
    verify: true,
  })
  if (!compilation || diagnostics.length > 0) return { wrong: summary(diagnostics) }
  const weight = (path: string): { dims: readonly number[]; data: Float64Array } => values.get(path) ?? weight(ties.get(path)!)
  const artifact = memoryFiles(await packArtifact(compilation.contents))
  const run = async (device: Parameters<typeof load>[1]): Promise<number[][]> => {
    const opened = await load(artifact, { threads: 1, ...device })
    const session = opened.createSession()
    const results: number[][] = []
    try {
      for (const [entry, inputs] of calls) results.push([...((await session.call(entry, inputs as never))[0]?.values ?? [])].map(Number))
    } finally {
      await opened.dispose()
    }
    return results
  }
  return {
    wrong: [],
    reference: await run({ device: createReferenceDevice(compilation.graphs, { weight }) }),
    wasm: await run({ device: 'wasm' }),
  }
}

/** What a part of the language does: a program, and what its entries give. */
export interface Feature extends Program {
  readonly calls: readonly Call[]
}
export type Features = Readonly<Record<string, Feature>>

interface Around {
  readonly config?: string
  /** Declarations. */
  readonly before?: string
  readonly imports?: string
}

/** A model `M` over the config `C` with these members. */
export const model = (members: string, { config = 'n: dim = 3', before = '', imports = '' }: Around = {}): string =>
  `module test\n${imports}\nconfig C {\n${config}\n}\n${before}\nmodel M uses C {\n${members}\n}\n`

/** An entry `f` from `real[n]` to the same. */
export const entry = (result: string): string => `entry f(x: real[n]) -> real[n] { return ${result} }`
/** `x` through every part of a list. */
export const through = (parts: string): string => `entry f(x: real[n]) -> real[n] { let y = x  for p in ${parts} { y = p(y) }  return y }`
