// What users import: `import { compile } from 'llamac'`. Sources in, the files of an artifact or diagnostics out. Thin: the
// language is dsl/index.ts, weights are fit.ts, the pipeline is compile.ts, files are artifact/write.ts.

import type { Diagnostic } from '../dsl/diagnostics.ts'
import { loadModel, type Numbers, type ReadSource } from '../dsl/index.ts'
import { type AnyErrorCode, LlamacError } from '../runtime/error.ts'
import type { CompactTokenizer } from '../runtime/tokenizer/compact.ts'
import { recordSources } from './artifact/source-record.ts'
import { packArtifact } from './artifact/write.ts'
import { type Compilation, compileModel, type CompileOptions } from './compile.ts'
import { fitForCalls } from './call-size.ts'
import { hasErrors, type WeightChoice } from './fit.ts'
import { modelPaths } from './package-sources.ts'
import type { TargetName } from './targets/index.ts'
import type { BoundWeight } from './weights/index.ts'

export { writeArtifact } from './artifact/write.ts'
export type { Compilation } from './compile.ts'
export type { CompilerCode } from './error-codes.ts'
export type { CacheFormat, CacheRule } from './plan/caches.ts'
export type { QuantPolicy, QuantRule } from './plan/quant-policy.ts'
export { defaultModel, packageSources, type ShippedModel } from './package-sources.ts'
export type { TargetName } from './targets/index.ts'
export { nodeFiles, openCheckpoint, openTokenizer, type Checkpoint } from './weights/index.ts'
export type { Diagnostic } from '../dsl/diagnostics.ts'
export { render, renderAll } from '../dsl/render.ts'

/** Texts by path, such as `models/llama.dsl` and `std/nn.dsl`; see `packageSources` for those that ship with the package. */
export type Sources = ReadSource | ReadonlyMap<string, string>

export interface Request
  extends Omit<WeightChoice, 'others'>,
    Pick<Numbers, 'preset' | 'set' | 'config' | 'maximum'>,
    Pick<CompileOptions, 'math' | 'activations' | 'quant' | 'cache' | 'importance' | 'onStored' | 'disabledPasses' | 'taps'> {
  /** The path of the file with the model. */
  readonly entry: string
  /** Which model of that file; the last one if left out. */
  readonly model?: string
  /** Default: wasm. */
  readonly target?: TargetName | readonly TargetName[]
  /** Default: the checkpoint's own, if it has one. */
  readonly tokenizer?: CompactTokenizer
  readonly signal?: AbortSignal
}

export type CompileResult =
  | {
      readonly ok: true
      /** The artifact's files by name: `load(memoryFiles(artifact))` runs them. */
      readonly artifact: ReadonlyMap<string, Uint8Array>
      readonly compilation: Compilation
      readonly weights?: ReadonlyMap<string, BoundWeight>
      /** Warnings. */
      readonly diagnostics: readonly Diagnostic[]
    }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] }

/**
 * Compiles a model, in memory. Mistakes of the user are diagnostics (those of the language carry places in the text, those of
 * files and options only a code); it rejects with E_ABORTED when `signal` fires, and for internal faults. `maximum.seq` is 128
 * unless given, less with a large vocabulary.
 */
export async function compile(sources: Sources, request: Request): Promise<CompileResult> {
  const { entry, model: name, target = 'wasm', tokenizer = request.checkpoint?.tokenizer, signal } = request
  const read: ReadSource = typeof sources === 'function' ? sources : (path) => sources.get(path)
  try {
    abortIfAsked(signal)
    const recorded = recordSources(read)
    const loaded = loadModel(entry, recorded.read, name === undefined ? {} : { model: name })
    if (!loaded.model)
      return {
        ok: false,
        diagnostics: loaded.diagnostics.length > 0 ? loaded.diagnostics : [plain('E_NO_MODEL', `${entry} declares no model`)],
      }
    const paths = typeof sources === 'function' ? modelPaths() : [...sources.keys()].filter((path) => path.endsWith('.dsl'))
    const fitted = fitForCalls(loaded.model, numbersOf(request), { ...request, others: { paths, read } })
    const before = [...loaded.diagnostics, ...fitted.diagnostics]
    if (!fitted.model) return { ok: false, diagnostics: before }
    abortIfAsked(signal)
    const { compilation, diagnostics } = compileModel(fitted.model, {
      ...request,
      source: { entry, files: recorded.files, maximum: fitted.maximum },
      targets: typeof target === 'string' ? [target] : target,
      ...(fitted.weights ? { weights: fitted.weights } : {}),
      ...(tokenizer ? { tokenizer } : {}),
    })
    const all = [...before, ...diagnostics]
    if (!compilation || hasErrors(diagnostics)) return { ok: false, diagnostics: all }
    abortIfAsked(signal)
    const artifact = await packArtifact(compilation.contents, signal ? { signal } : {})
    return { ok: true, artifact, compilation, diagnostics: all, ...(fitted.weights ? { weights: fitted.weights } : {}) }
  } catch (error) {
    if (!(error instanceof LlamacError) || error.code === 'E_ABORTED') throw error
    return { ok: false, diagnostics: [plain(error.code, error.message)] }
  }
}

function numbersOf({ preset, set, config, maximum }: Request): Numbers {
  return {
    ...(maximum === undefined ? {} : { maximum }),
    ...(preset === undefined ? {} : { preset }),
    ...(set === undefined ? {} : { set }),
    ...(config === undefined ? {} : { config }),
  }
}

const plain = (code: AnyErrorCode, message: string): Diagnostic => ({ code, severity: 'error', message, labels: [], notes: [] })

function abortIfAsked(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new LlamacError('E_ABORTED', 'the compilation was aborted', { cause: signal.reason })
}
