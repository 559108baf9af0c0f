// What stands behind a diagnostic's code: why it is one, a program that has the mistake with the message it gets, and the corrected
// program. The texts are the table of dsl/codes.ts and one small file a code in dsl/examples; the message is made by checking the
// program, so it can be no other than the one that users get. `//!` lines of an example say what the command line would.

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Code, codes } from '../dsl/codes.ts'
import type { Diagnostic } from '../dsl/diagnostics.ts'
import { type CheckedModel, loadModel, type Numbers } from '../dsl/index.ts'
import { compileModel } from './compile.ts'
import { fitModel, hasErrors } from './fit.ts'
import { packageSources } from './package-sources.ts'
import { type TargetName, targets } from './targets/index.ts'
import type { Checkpoint, StoredTensor } from './weights/index.ts'

/** One program with what is given to it. */
export interface Example {
  readonly text: string
  readonly preset?: string
  readonly set: Readonly<Record<string, string>>
  /** A checkpoint's config.json. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Tensors of a safetensors file. */
  readonly tensors: ReadonlyMap<string, readonly number[]>
  readonly target?: TargetName
  /** Blank lines behind the text, which nobody wants to see. */
  readonly blanks: number
}

export interface Explanation {
  readonly code: Code
  readonly title: string
  readonly why: string
  readonly wrong: Example
  readonly right: Example
}

const folder = new URL('../dsl/examples/', import.meta.url)

export const isCode = (text: string): text is Code => Object.hasOwn(codes, text)

/** The explanation of a code. Every code has an example; tests/dsl/explanations.test.ts holds that. */
export function explain(code: Code): Explanation {
  const file = fileURLToPath(new URL(`${code}.dsl`, folder))
  if (!existsSync(file)) throw new Error(`internal: no example of ${code}`)
  const [wrong = '', right = ''] = readFileSync(file, 'utf8').split('//! right\n')
  const first = readExample(wrong)
  const { title, explanation } = codes[code]
  return { code, title, why: explanation, wrong: first, right: readExample(right, first) }
}

/** `//! preset tiny`, `//! set heads=8`, `//! config {…}`, `//! tensor name [4, 4]`, `//! target webgpu`, `//! blanks 9`. */
function readExample(text: string, before?: Example): Example {
  const lines = text.split('\n')
  const given = lines.flatMap((line) => {
    const [, word, rest] = /^\/\/! (\w+) (.*)$/.exec(line) ?? []
    return word === undefined || rest === undefined ? [] : [{ word, rest }]
  })
  const all = (name: string): string[] => given.filter(({ word }) => word === name).map(({ rest }) => rest)
  const [preset] = all('preset')
  const [config] = all('config')
  const [target] = all('target')
  const [blanks] = all('blanks')
  const sets = all('set').map((pair) => pair.split('=') as [string, string])
  const tensors = all('tensor').map((rest): [string, number[]] => {
    const [, name, dims] = /^(\S+) (\[.*\])$/.exec(rest) ?? []
    if (name === undefined || dims === undefined) throw new Error(`internal: //! tensor ${rest}`)
    return [name, JSON.parse(dims)]
  })
  return {
    ...(before ?? { set: {}, tensors: new Map(), blanks: 0 }),
    text: lines
      .filter((line) => !line.startsWith('//!'))
      .join('\n')
      .trimEnd(),
    ...(preset === undefined ? {} : { preset }),
    ...(config === undefined ? {} : { config: JSON.parse(config) }),
    ...(target !== undefined && target in targets ? { target: target as TargetName } : {}),
    ...(blanks === undefined ? {} : { blanks: Number(blanks) }),
    ...(sets.length === 0 ? {} : { set: Object.fromEntries(sets) }),
    ...(tensors.length === 0 ? {} : { tensors: new Map(tensors) }),
  }
}

/** What the user would type to see the message. */
export function commandOf({ preset, set, config, tensors, target }: Example): string {
  const flags = [
    ...(preset === undefined ? [] : [`--preset ${preset}`]),
    ...Object.entries(set).map(([field, value]) => `--set ${field}=${value}`),
    ...(config ? ['--config config.json'] : []),
    ...(tensors.size > 0 ? ['--weights model.safetensors'] : []),
    ...(target ? [`--target ${target}`] : []),
  ]
  const needsCompile = tensors.size > 0 || config !== undefined || target !== undefined || Object.keys(set).length > 0
  return [`llamac ${needsCompile ? 'compile' : 'check'} mine.dsl`, ...flags].join(' ')
}

/** Everything that is said about an example, by the stages that `commandOf` would run. */
export function diagnose(example: Example): readonly Diagnostic[] {
  const text = `${example.text}${'\n'.repeat(example.blanks)}`
  const { model, diagnostics } = loadModel('mine.dsl', packageSources(new Map([['mine.dsl', text]])))
  return model ? [...diagnostics, ...numbered(model, example)] : diagnostics
}

function numbered(model: CheckedModel, { preset, set, config, tensors, target }: Example): readonly Diagnostic[] {
  const numbers: Numbers = {
    set,
    ...(preset === undefined ? {} : { preset }),
    ...(config ? { config: { kind: 'hf', values: config, file: 'config.json' } } : {}),
  }
  const fitted = fitModel(model, numbers, tensors.size > 0 ? { checkpoint: checkpointOf(tensors) } : {})
  if (!fitted.model || hasErrors(fitted.diagnostics)) return fitted.diagnostics
  const unnamed = model.checkpoints
    .filter(({ own }) => own)
    .flatMap(({ format, arch }) => fitted.model?.checkpoint(format, arch).diagnostics ?? [])
  const compiled = target ? compileModel(fitted.model, { targets: [target] }).diagnostics : []
  return [...fitted.diagnostics, ...unnamed, ...compiled]
}

/** A file that has names and shapes only; nothing reads its values here. */
function checkpointOf(shapes: Example['tensors']): Checkpoint {
  const tensors = new Map(
    [...shapes].map(([name, dims]): [string, StoredTensor] => [
      name,
      { name, dims, format: 'f32', file: 'model.safetensors', bytes: () => new Uint8Array() },
    ]),
  )
  return { container: 'safetensors', tensors, table: { format: 'hf' } }
}
