// Whether a plan fits a target: each state and the arena into one binding, everything together into the target's memory (L601).
// Weights need no look of their own: they are cut into bindings. What a smaller storage format would save is told.

import { diagnose } from '../../dsl/codes.ts'
import type { Diagnostic, Label } from '../../dsl/diagnostics.ts'
import type { SpecialisedModel } from '../../dsl/model.ts'
import { formats, isFormatName } from '../formats/index.ts'
import type { Machine } from '../schedule/machine.ts'
import type { Plan } from './plan.ts'

const sizes = [
  [2 ** 30, 'GB'],
  [2 ** 20, 'MB'],
  [2 ** 10, 'kB'],
] as const

function amount(bytes: number): string {
  const [unit, name] = sizes.find(([size]) => bytes >= size) ?? [1, 'bytes']
  return `${(bytes / unit).toFixed(unit === 1 ? 0 : 1)} ${name}`
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

/** A compilation that a target's memory ends; `compileModel` makes diagnostics of it. */
export class Refused extends Error {
  readonly diagnostics: readonly Diagnostic[]

  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map(({ message }) => message).join('; '))
    this.diagnostics = diagnostics
  }
}

/**
 * Errors for what the target cannot hold; `target` is its name. Without weights (`described`) nothing will run: too little memory for
 * weights and states is then a warning, so that the program of a model of any size can be read. Values of one call must still fit.
 */
export function checkMemory(
  { layout, arenaBytes }: Plan,
  model: Pick<SpecialisedModel, 'name' | 'weights' | 'states'>,
  target: string,
  machine: Machine,
  described: boolean,
): Diagnostic[] {
  const found: Diagnostic[] = []
  const { bindingBytes, memoryBytes } = machine
  const largest = layout.states.toSorted((a, b) => b.bytes - a.bytes)[0]
  if (largest && largest.bytes > bindingBytes) {
    const span = model.states.find(({ path }) => path === largest.path)?.span
    const dims = `[${largest.dims.join(', ')}] of ${largest.dtype}`
    const labels: Label[] = span ? [{ span, text: dims }] : []
    const message = `the state ${largest.path} needs ${amount(largest.bytes)}; the largest buffer of ${target} is ${amount(bindingBytes)}`
    found.push(diagnose('L601', { message, labels, help: 'use a shorter context: --ctx' }))
  }
  if (arenaBytes > bindingBytes) {
    const message = `values of one call need ${amount(arenaBytes)}; the largest buffer of ${target} is ${amount(bindingBytes)}`
    found.push(diagnose('L601', { message, labels: [], help: 'use fewer tokens in one call (--max-seq) or a shorter context (--ctx)' }))
  }
  const weightBytes = sum(layout.tensors.map(({ bytes }) => bytes))
  const total = weightBytes + layout.stateBytes + arenaBytes
  if (found.length > 0 || total <= memoryBytes) return found
  const heaviest = layout.tensors.toSorted((a, b) => b.bytes - a.bytes)[0]
  const weight = model.weights.find(({ path }) => path === heaviest?.path)
  const labels: Label[] =
    weight && heaviest ? [{ span: weight.span, text: `the largest weight: ${amount(heaviest.bytes)} as ${heaviest.format}` }] : []
  const readOnly = described && arenaBytes < memoryBytes
  const notes = [
    `weights ${amount(weightBytes)}, states ${amount(layout.stateBytes)}, values of one call ${amount(arenaBytes)}`,
    ...(readOnly ? ['without weights the program is written all the same, to be read: addresses beyond the memory wrap around'] : []),
  ]
  const parts = { weightBytes, rest: total - weightBytes, memoryBytes }
  const message = `${model.name} needs ${amount(total)}; the memory of ${target} is ${amount(memoryBytes)}`
  const help = remedy(
    layout.tensors.map(({ format, bytes }) => ({ format, bytes })),
    parts,
  )
  const tooLarge = diagnose('L601', { message, labels, notes, help })
  return [...found, readOnly ? { ...tooLarge, severity: 'warning' } : tooLarge]
}

/** The largest format that would make the weights fit, or what else could help. */
function remedy(
  tensors: readonly { readonly format: string; readonly bytes: number }[],
  { weightBytes, rest, memoryBytes }: { readonly weightBytes: number; readonly rest: number; readonly memoryBytes: number },
): string {
  const perValue = (format: string): number => (isFormatName(format) ? formats[format].bytes / formats[format].values : 4)
  const values = sum(tensors.map(({ format, bytes }) => bytes / perValue(format)))
  for (const format of ['q8_0', 'q4_0'] as const) {
    const smaller = values * perValue(format)
    if (smaller < weightBytes && smaller + rest <= memoryBytes) return `with  --quant ${format}  the weights are about ${amount(smaller)}`
  }
  return rest > memoryBytes / 4 ? 'use a shorter context: --ctx' : 'no storage format makes this fit: take a smaller model'
}
