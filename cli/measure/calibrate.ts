// What a text tells about weights: a model reads it, and for each weight that a product contracts the squares of what met its columns
// are summed up (compiler/passes/observe-inputs.ts). The model runs on WASM in strict math, from the weights as the checkpoint has
// them: the same text gives the same numbers everywhere. Memory: the model, and one number a column.

import { compiledArtifact } from '../../compiler/artifact/compiled.ts'
import { describeEntry } from '../../compiler/artifact/entries.ts'
import { compileModel, type CompileOptions } from '../../compiler/compile.ts'
import type { Importance } from '../../compiler/weights/index.ts'
import type { SpecialisedModel } from '../../dsl/model.ts'
import { LlamacError } from '../../runtime/error.ts'
import { load, type Model } from '../../runtime/index.ts'
import { findRoles } from '../../runtime/roles.ts'
import { Rejected } from '../report.ts'
import { contextOf, readerOf } from './likelihood.ts'

/** A window is read from the beginning of a session: as many tokens as llama.cpp's tools take. */
const mostInWindow = 512

/** Tokens so far and altogether. */
export type OnRead = (read: number, all: number) => void

/** E[x²] of the inputs of each weight's columns, by path, as CompileOptions.importance takes it. */
export interface Calibration {
  readonly importance: ReadonlyMap<string, Importance>
  readonly tokens: number
}

/**
 * Reads `text`. Errors: Rejected when the model does not compile with its weights for WASM, E_ENTRY when it has no entry that reads
 * one text, E_NO_TOKENIZER, E_TEXT, E_NOT_FINITE, E_ABORTED.
 */
export async function calibrate(
  model: SpecialisedModel,
  options: Pick<CompileOptions, 'weights' | 'tokenizer'>,
  text: string,
  { signal, onRead }: { readonly signal?: AbortSignal | undefined; readonly onRead?: OnRead } = {},
): Promise<Calibration> {
  await using observed = await observedModel(model, options, signal)
  if (!observed.tokenizer) throw new LlamacError('E_NO_TOKENIZER', 'a text calibrates only a model with a tokenizer: give --tokenizer')
  const ids = observed.tokenizer.encode(text)
  if (ids.length === 0) throw new LlamacError('E_TEXT', 'the text to calibrate with is empty')
  return { importance: await meanSquares(observed, ids, signal, onRead), tokens: ids.length }
}

/** The model with one entry, whose further results are the squares of what meets each weight. */
export async function observedModel(
  model: SpecialisedModel,
  options: Pick<CompileOptions, 'weights' | 'tokenizer'>,
  signal?: AbortSignal,
): Promise<Model> {
  const { score, prefill, decode } = findRoles({ entries: model.entries.map((entry) => describeEntry(entry, model.config)) })
  const reader = score ?? prefill ?? decode
  if (!reader) throw new LlamacError('E_ENTRY', `${model.name} cannot be calibrated: no entry reads a text as score, prefill or decode do`)
  const entries = model.entries.filter(({ name }) => name === reader.entry.name)
  const { compilation, diagnostics } = compileModel({ ...model, entries }, { ...options, targets: ['wasm'], math: 'strict', observe: true })
  if (!compilation) throw new Rejected(diagnostics)
  return load(compiledArtifact(compilation.contents), { device: 'wasm', ...(signal ? { signal } : {}) })
}

/** Means over all `ids`, by path. */
export async function meanSquares(
  model: Model,
  ids: readonly number[],
  signal?: AbortSignal,
  onRead?: OnRead,
): Promise<ReadonlyMap<string, Importance>> {
  const { entry, tokens, most } = readerOf(model)
  const window = Math.min(mostInWindow, contextOf(model))
  const sums = new Map<string, Sums>()
  for (let start = 0; start < ids.length; start += window) {
    using session = model.createSession()
    const end = Math.min(ids.length, start + window)
    for (let at = start; at < end; at += most) {
      const call = ids.slice(at, Math.min(end, at + most))
      const results = await session.call(entry.name, { [tokens]: call }, signal ? { signal } : {})
      for (const { name, dims, values } of results) if (name !== undefined) addTo(sums, name, dims.at(-1)!, values)
      onRead?.(at + call.length, ids.length)
    }
  }
  return new Map(
    [...sums].map(([path, { columns, squares }]) => {
      if (!squares.every(Number.isFinite)) throw new LlamacError('E_NOT_FINITE', `what meets ${path} is not a number somewhere in the text`)
      return [path, { columns, values: Float32Array.from(squares, (square) => square / ids.length) }] as const
    }),
  )
}

interface Sums {
  readonly columns: number
  readonly squares: Float64Array
}

/** A weight may meet several inputs: by one row of columns or, where its rows are chosen, several. */
function addTo(sums: Map<string, Sums>, path: string, columns: number, values: ArrayLike<number>): void {
  const before = sums.get(path)?.squares
  const length = Math.max(before?.length ?? 0, values.length)
  const squares = before?.length === length ? before : Float64Array.from({ length }, (_, i) => before?.[i % before.length] ?? 0)
  for (let i = 0; i < length; i++) squares[i]! += values[i % values.length]!
  sums.set(path, { columns, squares })
}
