// One mistake in a good program: a token left out, swapped with its neighbour, or misspelt; and everything that `llamac check`
// says about the result, stage by stage, the way a user meets it (a stage with errors is the last). A mistake that goes unnoticed
// must have made another program that an author could have meant: `whyValid`.

import fc from 'fast-check'
import type { Diagnostic } from '../../dsl/diagnostics.ts'
import { loadModel } from '../../dsl/index.ts'
import type { CheckedModel, SpecialisedModel } from '../../dsl/model.ts'
import { parse } from '../../dsl/parse.ts'
import { inOrder } from '../../dsl/render.ts'
import { lexer } from '../../dsl/tokens.ts'
import { CheckingSink } from './checking-sink.ts'
import { readProject } from './read-models.ts'
import { sources, withoutSpans } from './syntax-sources.ts'

export type Kind = 'deleted' | 'swapped' | 'misspelt'

export interface Mistake {
  /** The file with the mistake, as the loader asks for it. */
  readonly path: string
  /** The file that is checked: this one, or one that imports it. */
  readonly entry: string
  readonly kind: Kind
  /** The token as it was, and what stands there now. */
  readonly was: string
  readonly now: string
  readonly offset: number
  readonly text: string
}

export interface Outcome {
  readonly stage: 'load' | 'numbers' | 'tables' | 'walk' | 'valid'
  readonly errors: readonly Diagnostic[]
}

const loaderPath = (path: string): string => path.replace(/^dsl\/std\//, 'std/')

/** Models that import a file, directly or not. */
const dependents: ReadonlyMap<string, readonly string[]> = new Map(
  sources.map(({ path }) => {
    const name = path.replace(/^dsl\/std\/|^models\//, '').replace('.dsl', '')
    const direct = (of: string): string[] =>
      sources.filter(({ text }) => new RegExp(`^import (?:std\\.)?${of}\\s`, 'm').test(text)).map((s) => s.path)
    const all = new Set(direct(name))
    for (const one of all) for (const more of direct(one.replace('models/', '').replace('.dsl', ''))) all.add(more)
    return [path, [...all].filter((p) => p.startsWith('models/'))]
  }),
)

const letters = 'abcdefghijklmnopqrstuvwxyz'

/** A word or number with one slip of the fingers: a letter doubled, lost, changed, or swapped with the next. */
function misspelling(word: string, how: number, at: number, letter: string): string {
  const i = at % word.length
  const [before, char, after] = [word.slice(0, i), word[i] as string, word.slice(i + 1)]
  if (how === 0) return before + char + char + after
  if (how === 1) return word.length > 1 ? before + after : word + letter
  if (how === 2) return before + letter + after
  return word.length > 1 && i + 1 < word.length ? before + word[i + 1] + char + word.slice(i + 2) : word + letter
}

interface Place {
  readonly source: (typeof sources)[number]
  readonly index: number
}
const places: readonly Place[] = sources.flatMap((source) => lexer.tokenize(source.text).tokens.map((_, index) => ({ source, index })))
const tokensOf = new Map(sources.map((source) => [source, lexer.tokenize(source.text).tokens]))

/** One mistake at a random token of a random file. Only words and numbers are misspelt. */
export const mistake: fc.Arbitrary<Mistake> = fc
  .tuple(
    fc.constantFrom(...places),
    fc.constantFrom<Kind>('deleted', 'swapped', 'misspelt'),
    fc.nat(3),
    fc.nat(40),
    fc.constantFrom(...letters),
    fc.nat(1000),
  )
  .map(([{ source, index }, kind, how, at, letter, pick]): Mistake | undefined => {
    const tokens = tokensOf.get(source) as typeof tokensOf extends ReadonlyMap<unknown, infer T> ? T : never
    const token = tokens[index] as (typeof tokens)[number]
    const next = tokens[index + 1]
    const { startOffset: offset, image: was } = token
    const after = offset + was.length
    const importers = dependents.get(source.path) ?? []
    const path = loaderPath(source.path)
    const own = path.startsWith('std/') ? [] : [path]
    const candidates = [...own, ...own.flatMap(() => importers.map(() => path)), ...importers]
    const common = { path, entry: candidates[pick % candidates.length] as string, kind, offset }
    if (kind === 'deleted') return { ...common, was, now: '', text: source.text.slice(0, offset) + source.text.slice(after) }
    if (kind === 'swapped') {
      if (!next || next.image === was) return undefined
      const between = source.text.slice(after, next.startOffset)
      const end = next.startOffset + next.image.length
      // Blanks keep the tokens what they are: `embed) let` must not become `embedlet )`.
      const before = /\w$/.test(source.text.slice(0, offset)) && /^\w/.test(next.image) ? ' ' : ''
      const behind = /\w$/.test(was) && /^\w/.test(source.text.slice(end)) ? ' ' : ''
      const now = `${before}${next.image}${between === '' ? ' ' : between}${was}${behind}`
      return { ...common, was: source.text.slice(offset, end), now, text: source.text.slice(0, offset) + now + source.text.slice(end) }
    }
    if (!/^\w/.test(was)) return undefined
    const now = misspelling(was, how, at, letter)
    return now === was ? undefined : { ...common, was, now, text: source.text.slice(0, offset) + now + source.text.slice(after) }
  })
  .filter((m) => m !== undefined)

const isError = ({ severity }: Diagnostic): boolean => severity === 'error'

/** All stages, with the defaults and every preset. Throws only where the language half throws. */
export function outcome({ path, entry, text }: Pick<Mistake, 'path' | 'entry' | 'text'>): Outcome {
  const { model, diagnostics } = loadModel(entry, (file) => (file === path ? text : readProject(file)))
  const errors = diagnostics.filter(isError)
  if (errors.length > 0) return { stage: 'load', errors }
  return model ? numbered(model) : { stage: 'valid', errors: [] }
}

function numbered(model: CheckedModel): Outcome {
  const made = [undefined, ...model.presets].map((preset) => model.specialise(preset === undefined ? {} : { preset }))
  const errors = inOrder(made.flatMap(({ diagnostics }) => diagnostics)).filter(isError)
  if (errors.length > 0) return { stage: 'numbers', errors }
  const specialised = made.flatMap(({ model: one }) => (one ? [one] : []))
  const unnamed = inOrder(
    specialised.flatMap((one) =>
      model.checkpoints.filter(({ own }) => own).flatMap(({ format, arch }) => [...one.checkpoint(format, arch).diagnostics]),
    ),
  ).filter(isError)
  if (unnamed.length > 0) return { stage: 'tables', errors: unnamed }
  // A published size says nothing that a small one does not, and unrolls nothing.
  return walked(specialised.at(-1))
}

function walked(model: SpecialisedModel | undefined): Outcome {
  if (!model) return { stage: 'valid', errors: [] }
  const errors = model.entries.flatMap(({ name }) => model.elaborate(name, new CheckingSink(model)).diagnostics.filter(isError))
  return errors.length > 0 ? { stage: 'walk', errors } : { stage: 'valid', errors: [] }
}

/** Places in the tree whose content an author chooses freely, by the path to the first difference. */
const free: readonly (readonly [name: string, path: RegExp])[] = [
  ['another number', /\.value$|\.isInteger$/],
  ['another text', /\.pattern$|\.glob$|\.key$|\.text$(?<=requires\.\d+\.text)|\.args\.\d+\.value\.value$/],
  ['the name of the module', /^\.module$/],
  ['the name of a preset', /\.members\.\d+\.name$/],
  ['a name that nothing here refers to', /\.name\.text$|\.range\.index\.text$/],
  ['another type', /\.(?:type|result)\.(?:name\.text|optional|axes\.length)$|\.optional$/],
  ['another shape', /\.axes\.(?:length|\d+)/],
  ['another expression', /\.(?:body|default|condition|when|value|size|count|from|to|left|right|callee|args|requires|bindings)\b/],
  ['an inherited key removed', /\.annotations\.\d+\.args\.length$/],
  ['a declaration or member less or more', /\.(?:members|fields|rules|steps)\.length$/],
]

/** The path to the first place where two trees differ. */
function difference(a: unknown, b: unknown, path = ''): string | undefined {
  if (a === b) return undefined
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return path
  if (Array.isArray(a) && Array.isArray(b) && a.length !== b.length) return `${path}.length`
  const [x, y] = [a as Record<string, unknown>, b as Record<string, unknown>]
  if (x['kind'] !== y['kind']) return path
  for (const key of new Set([...Object.keys(x), ...Object.keys(y)])) {
    const found = difference(x[key], y[key], `${path}.${key}`)
    if (found !== undefined) return found
  }
  return undefined
}

/** Why a mistake without an error is none: `same meaning`, or what the author may have wanted to write. */
export function whyValid({ path, text }: Mistake): string | undefined {
  const source = sources.find((s) => s.path.endsWith(path))
  const tree = (of: string): unknown => withoutSpans(parse({ path, text: of }).tree)
  const at = difference(tree(source?.text ?? ''), tree(text))
  if (at === undefined) return 'same meaning'
  const annotated = /\.annotations\.\d+\.name|\.format\.name|\.steps\.\d+\.(?:name\.text|index)|\.source\.(?:how|index)/.test(at)
  return annotated ? undefined : free.find(([, pattern]) => pattern.test(at))?.[0]
}
