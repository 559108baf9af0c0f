// The specialised model: what the language half hands to the compiler once numbers are known, and the interface of a
// checkpoint's table. The semantic half of dsl/ produces it (see index.ts); the compiler and the CLI only read it.

import type { Affine } from './affine.ts'
import type { Diagnostic } from './diagnostics.ts'
import type { Span } from './source.ts'
import type { Dtype, Sink, StateInfo, TensorType, WeightInfo } from './sink.ts'

export type ConfigValue = number | boolean | string | null | readonly ConfigValue[]

/** Where the numbers come from; later sources give way to earlier ones: set > config > preset > defaults. */
export interface Numbers {
  readonly preset?: string
  readonly set?: Readonly<Record<string, string | number | boolean>>
  /** A config as a checkpoint gives it: `hf` = parsed config.json, `gguf` = metadata keys, `fields` = by field name (llama2.c header). */
  readonly config?: { readonly kind: 'hf' | 'gguf' | 'fields'; readonly values: Readonly<Record<string, unknown>>; readonly file: string }
  /** For defaults that ask the file (`tie`): tells whether the checkpoint has a tensor for this weight path. */
  readonly hasTensorFor?: (weightPath: string) => boolean
  /** What `real` is. */
  readonly real?: Dtype
  /** Inclusive upper bounds of the entries' free sizes (`--max-seq`), by symbol. */
  readonly maximum?: Readonly<Record<string, number>>
}

export interface EntrySymbol {
  readonly name: string
  /** 'size': a free size bound by an argument's axis. 'index': an `index` argument. */
  readonly kind: 'size' | 'index'
  readonly min: number
  readonly max: number
}

export interface EntryInfo {
  readonly name: string
  readonly doc?: string
  /** In the order of the declaration; `index` arguments are symbols of the same name. */
  readonly arguments: readonly (
    | { readonly kind: 'tensor'; readonly name: string; readonly type: TensorType; readonly labels: readonly string[] }
    | { readonly kind: 'index'; readonly name: string }
  )[]
  readonly symbols: readonly EntrySymbol[]
  /** Facts `left <= right` that a call must satisfy, such as `start + seq <= 2048`; checked by the runtime once per call. */
  readonly limits: readonly { readonly left: Affine; readonly right: number; readonly why: string }[]
  readonly results: readonly {
    /** Of a value by path that was asked for: `layers.3.attn`. */
    readonly name?: string
    readonly type: TensorType
    readonly labels: readonly string[]
  }[]
}

/** One stored tensor's way to one weight. */
export interface WeightBinding {
  /** The rule it comes from, for messages. */
  readonly span?: Span
  /** Weight paths that share the source, in order (`chunk` gives several). */
  readonly targets: readonly string[]
  /** Names in the file: one, or one per element of `stack`. Optional parts (`transformer.?h`) give alternatives. */
  readonly sources: readonly { readonly alternatives: readonly string[] }[]
  readonly stacked: boolean
  readonly steps: readonly BindingStep[]
}

export type BindingStep =
  | { readonly op: 'transpose' }
  | { readonly op: 'chunk'; readonly count?: number; readonly groups?: number }
  | { readonly op: 'rope_rows'; readonly heads: number; readonly from: 'adjacent' | 'half'; readonly to: 'adjacent' | 'half' }
  | { readonly op: 'add'; readonly value: number }
  | { readonly op: 'scale'; readonly value: number }
  | { readonly op: 'cast' }
  | { readonly op: 'join'; readonly names: readonly string[] }

export interface CheckpointTable {
  readonly format: string
  readonly arch?: string
  readonly bindings: readonly WeightBinding[]
  /** Globs of tensors that may be left over. */
  readonly ignored: readonly string[]
}

export interface SpecialisedModel {
  readonly name: string
  readonly module: string
  readonly preset?: string
  readonly config: Readonly<Record<string, ConfigValue>>
  readonly weights: readonly WeightInfo[]
  readonly states: readonly StateInfo[]
  readonly entries: readonly EntryInfo[]
  /** Parameters: the elements of every weight that is not tied. */
  readonly parameters: number
  /** What `real` was taken for; f32 when left out. */
  readonly real?: Dtype
  /** The table for a container's naming (`hf`, `gguf` + arch, `meta`); diagnostics when the model has none. */
  checkpoint(format: string, arch?: string): { readonly table?: CheckpointTable; readonly diagnostics: readonly Diagnostic[] }
  /** Walks one entry and tells `sink` every primitive. The results are the entry's results. */
  elaborate<V>(entry: string, sink: Sink<V>): { readonly results: readonly V[]; readonly diagnostics: readonly Diagnostic[] }
}

/** A checked program before numbers are known. */
export interface CheckedModel {
  readonly name: string
  readonly module: string
  readonly presets: readonly string[]
  /** Formats with a table: `hf`, `gguf("llama")`. `own`: written in this model, so meant to be complete for it. */
  readonly checkpoints: readonly { readonly format: string; readonly arch?: string; readonly own: boolean }[]
  specialise(numbers: Numbers): { readonly model?: SpecialisedModel; readonly diagnostics: readonly Diagnostic[] }
  /** The model as one file that inherits nothing and replaces nothing. `problem` says why there is none. */
  expand(): { readonly text?: string; readonly problem?: string }
}

/** `std.*` and imports are read through `read`, which gives undefined for a file that is not there. Pure otherwise. */
export type ReadSource = (path: string) => string | undefined
