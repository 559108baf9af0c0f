// What a person reads when a tensor has other sizes than the model wants (L510): both factorisations, which single size would make
// it fit, and what the checkpoint's own config says of it. A size is tried by binding again with it, so whatever the rule does
// (cut, join, stack, rotate rows) is taken into account.

import type { BindingStep, ConfigValue, WeightBinding } from '../../dsl/model.ts'
import type { WeightInfo } from '../../dsl/sink.ts'
import { product } from './plain-tensor.ts'
import { factorisation, factors } from './reshape.ts'

type Config = Readonly<Record<string, ConfigValue>>

/** What is known of a model's numbers when a tensor does not fit. */
export interface Circumstances {
  /** The numbers that the weights were sized with. */
  readonly config?: Config
  /** What they would be by the config that came with the checkpoint alone; asked for only where something does not fit. */
  readonly own?: () => { readonly file: string; readonly config: Config } | undefined
}

export interface Misfit {
  readonly weight: WeightInfo
  readonly binding: WeightBinding
  /** Dims of the rule's tensor where it gives one to one weight; else undefined. */
  readonly stored?: readonly number[]
  /** Values that the rule's tensors hold. */
  readonly total: number
  /** Name, sizes and file of each tensor. */
  readonly files: readonly string[]
  /** What the steps made, or why they cannot. */
  readonly after: string | undefined
}

/** Whether the rule would fit with these weights. */
type Fits = (targets: readonly WeightInfo[], steps: readonly BindingStep[]) => boolean

interface Explanation {
  readonly field: string
  readonly value: number
  readonly text: string
  readonly confirmed: boolean
}

/** Notes and the fix of an L510. */
export function explainMisfit(
  misfit: Misfit,
  targets: readonly WeightInfo[],
  fits: Fits,
  circumstances: Circumstances,
): { readonly notes: readonly string[]; readonly help?: string } {
  const { weight, stored, files, after } = misfit
  const own = circumstances.own?.()
  const found = explanations(misfit, targets, fits, circumstances)
  const [best] = found
  const wants = targets.map((target) => `${targets.length > 1 ? `${target.path} ` : ''}${factorisation(target, stored ?? [])}`)
  const notes = [
    ...files.slice(0, 3).map((file) => `the file has ${file}`),
    ...(files.length > 3 ? [`… and ${files.length - 3} more`] : []),
    ...(after === undefined ? [] : [after]),
    ...wants.slice(0, 4).map((want) => `the model wants ${want}`),
    ...found.slice(0, 3).map(({ text }) => text),
    ...(best?.confirmed ? [`the config that came with it (${own!.file}) says ${best.field} = ${best.value}`] : []),
  ]
  const turned = stored?.length === 2 && targets.length === 1 && fits(targets, [...misfit.binding.steps, { op: 'transpose' }])
  if (turned && !best?.confirmed) return { notes, help: 'the file may hold it the other way round: add  |> transpose' }
  if (!best) return { notes }
  const set = `--set ${best.field}=${best.value}`
  return {
    notes,
    help: best.confirmed
      ? `use the checkpoint's own config, without --config and --set ${best.field}; or  ${set}`
      : `use  --config path/config.json  or  ${set}`,
  }

  function explanations(
    { binding, total }: Misfit,
    all: readonly WeightInfo[],
    fit: Fits,
    { config }: Circumstances,
  ): readonly Explanation[] {
    const labels = [...new Set([weight, ...all].flatMap((target) => target.labels))]
    const result: Explanation[] = []
    for (const label of labels) {
      const value = sizeFor(label, total, all)
      if (value === undefined) continue
      const before = all.flatMap(({ labels: names, dims }) => (names.includes(label) ? [dims[names.indexOf(label)]!] : []))[0]!
      const changed = all.map((target) => ({ ...target, dims: target.dims.map((dim, i) => (target.labels[i] === label ? value : dim)) }))
      // Rows are rotated head by head.
      const steps = binding.steps.map((step) => (step.op === 'rope_rows' && step.heads === before ? { ...step, heads: value } : step))
      if (!fit(changed, steps)) continue
      const field = fieldOf(label, before, config)
      const shape = changed.find(({ path }) => path === weight.path)!
      const made = stored ? factors(stored, shape.dims, shape.labels.indexOf(label)) : ''
      result.push({
        field,
        value,
        text: `${made}this looks like a checkpoint with ${field} = ${value}, where the model has ${before}`,
        confirmed: own?.config[field] === value,
      })
    }
    return result.sort((a, b) => Number(b.confirmed) - Number(a.confirmed))
  }
}

/** The size that an axis must have for the weights to hold `total` values. */
function sizeFor(label: string, total: number, targets: readonly WeightInfo[]): number | undefined {
  let [fixed, perUnit] = [0, 0]
  for (const { labels, dims } of targets) {
    const at = labels.indexOf(label)
    if (at < 0) fixed += product(dims)
    else perUnit += product(dims.filter((_, i) => i !== at))
  }
  const value = (total - fixed) / perUnit
  return Number.isInteger(value) && value > 0 ? value : undefined
}

/** A label is a field, or a block's parameter: then the one field that has its value. */
function fieldOf(label: string, value: number, config: Config | undefined): string {
  if (!config || label in config) return label
  const same = Object.keys(config).filter((field) => config[field] === value)
  return same.length === 1 ? same[0]! : label
}
