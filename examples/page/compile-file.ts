/// <reference types="vite/client" />
// A checkpoint that the reader dropped, compiled in the page: the model file is the one that takes it, as `llamac compile` says when
// it is given another. Loaded only when it is needed, as the compiler is some twenty times the size of the runtime.

import { compiledArtifact } from '../../compiler/artifact/compiled.ts'
import { fitForCalls } from '../../compiler/call-size.ts'
import { compileModel, type TargetResult } from '../../compiler/compile.ts'
import { hasErrors, modelsTaking } from '../../compiler/fit.ts'
import type { ByteSource, Files } from '../../compiler/weights/byte-source.ts'
import { openCheckpoint } from '../../compiler/weights/checkpoint.ts'
import type { Diagnostic } from '../../dsl/diagnostics.ts'
import { loadModel } from '../../dsl/index.ts'
import type { Artifact } from '../../runtime/index.ts'
import type { DeviceChoice } from './protocol.ts'

const texts = (files: Record<string, string>, folder: string): [string, string][] =>
  Object.entries(files).map(([path, text]) => [folder + path.slice(path.lastIndexOf('/')), text])

/** The models and the library that ship, by the paths that `import` knows them by. */
const sources = new Map([
  ...texts(import.meta.glob<string>('../../models/*.dsl', { query: '?raw', import: 'default', eager: true }), 'models'),
  ...texts(import.meta.glob<string>('../../dsl/std/*.dsl', { query: '?raw', import: 'default', eager: true }), 'std'),
])

/** Mistakes that the compiler found: all of them. */
export class Refused extends Error {
  readonly diagnostics: readonly Diagnostic[]

  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map(({ message }) => message).join('\n'))
    this.diagnostics = diagnostics
  }
}

export interface CompiledFile {
  readonly artifact: Artifact
  readonly result: TargetResult
}

/** Weights stay in the file until they are loaded. Errors: Refused, LlamacError. */
export function compileFile(file: File, target: DeviceChoice, context: number | undefined): CompiledFile {
  const checkpoint = openCheckpoint(file.name, onlyFile(file))
  const others = { paths: [...sources.keys()].filter((path) => path.startsWith('models/')), read: (path: string) => sources.get(path) }
  const [entry = 'models/llama.dsl'] = modelsTaking(checkpoint, others)
  const { model: checked, diagnostics } = loadModel(entry, others.read)
  if (!checked) throw new Refused(diagnostics)
  const fitted = fitForCalls(checked, context === undefined ? {} : { set: { ctx: String(context) } }, { checkpoint, others })
  if (!fitted.model || !fitted.weights) throw new Refused(fitted.diagnostics)
  const entries = fitted.model.entries.filter(({ name }) => name === 'prefill' || name === 'decode')
  const compiled = compileModel(
    { ...fitted.model, entries },
    { targets: [target], weights: fitted.weights, ...(checkpoint.tokenizer ? { tokenizer: checkpoint.tokenizer } : {}) },
  )
  if (!compiled.compilation || hasErrors(compiled.diagnostics)) throw new Refused(compiled.diagnostics)
  return { artifact: compiledArtifact(compiled.compilation.contents), result: compiled.compilation.results[0]! }
}

/** Workers may read files as the compiler wants it, without waiting; their type is not among those of pages. */
declare const FileReaderSync: new () => { readAsArrayBuffer(blob: Blob): ArrayBuffer }

function onlyFile(file: File): Files {
  const reader = new FileReaderSync()
  const source: ByteSource = {
    name: file.name,
    size: file.size,
    read(offset, length, into = new Uint8Array(length)) {
      into.set(new Uint8Array(reader.readAsArrayBuffer(file.slice(offset, offset + length))))
      return into
    },
  }
  return { open: (path) => (path === file.name ? source : undefined), isFolder: () => false }
}
