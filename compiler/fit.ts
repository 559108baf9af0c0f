// Numbers and weights for a checked model: from a checkpoint, from a seed, or none. Reads no files: a checkpoint is given open.

import type { Diagnostic } from '../dsl/diagnostics.ts'
import { saysWhose } from '../dsl/config-keys.ts'
import type { CheckedModel, Numbers, SpecialisedModel } from '../dsl/model.ts'
import { fittingFiles, nameFittingModels, type OtherModels } from './fitting-models.ts'
import { type BindOptions, bindWeights, type BoundWeight, hasTensorFor } from './weights/bind.ts'
import type { Checkpoint, CheckpointConfig } from './weights/checkpoint.ts'
import { seededWeights } from './weights/seeded.ts'

export interface WeightChoice {
  readonly checkpoint?: Checkpoint
  /** Pseudo-random weights instead of a checkpoint's. */
  readonly seedWeights?: number
  /** Tensors that nothing asked for are no error. */
  readonly loose?: boolean
  /** Where to look for a model that takes what this one does not. */
  readonly others?: OtherModels
}

export interface Fitted {
  /** Absent when a diagnostic is an error. */
  readonly model?: SpecialisedModel
  readonly weights?: ReadonlyMap<string, BoundWeight>
  readonly diagnostics: readonly Diagnostic[]
}

export const hasErrors = (diagnostics: readonly Diagnostic[]): boolean => diagnostics.some(({ severity }) => severity === 'error')

/** Specialises `checked`; numbers default to the checkpoint's config. LlamacError for a checkpoint that cannot be read. */
export function fitModel(checked: CheckedModel, numbers: Numbers, choice: WeightChoice): Fitted {
  const fitted = fit(checked, numbers, choice)
  const { others, checkpoint } = choice
  const config = numbers.config ?? checkpoint?.config
  // Without tensors a config must say whose it is: numbers alone would fit many.
  if (fitted.model || !others || !(checkpoint || (config && saysWhose(config)))) return fitted
  const takes = takesAll(config, checkpoint)
  return { diagnostics: nameFittingModels(fitted.diagnostics, checked, checkpoint?.table ?? { format: 'hf' }, takes, others) }
}

const takesAll =
  (config: CheckpointConfig | undefined, checkpoint: Checkpoint | undefined) =>
  (model: CheckedModel): boolean =>
    !hasErrors(fit(model, config ? { config } : {}, checkpoint ? { checkpoint } : {}).diagnostics)

/** The model files that take a checkpoint as it is, by its config and its tensors' names and sizes. */
export const modelsTaking = (checkpoint: Checkpoint, among: OtherModels): readonly string[] =>
  fittingFiles(checkpoint.table, takesAll(checkpoint.config, checkpoint), among)

function fit(checked: CheckedModel, numbers: Numbers, choice: WeightChoice): Fitted {
  const { checkpoint, seedWeights } = choice
  if (!checkpoint) {
    const { model, diagnostics } = checked.specialise(numbers)
    if (!model || hasErrors(diagnostics)) return { diagnostics }
    return { model, diagnostics, ...(seedWeights === undefined ? {} : { weights: seededWeights(model.weights, seedWeights) }) }
  }
  const all: Numbers = { ...(checkpoint.config ? { config: checkpoint.config } : {}), ...numbers }
  const { format, arch } = checkpoint.table
  // Names of tensors are known only with numbers, and some fields (`tie`) ask which tensors there are: hence twice, first with
  // all there could be, so that every weight has its names.
  const first = checked.specialise({ ...all, hasTensorFor: () => true })
  if (!first.model || hasErrors(first.diagnostics)) return { diagnostics: first.diagnostics }
  const names = first.model.checkpoint(format, arch)
  if (!names.table || hasErrors(names.diagnostics)) return { diagnostics: names.diagnostics }
  const second = checked.specialise({ ...all, hasTensorFor: hasTensorFor(names.table, checkpoint) })
  if (!second.model || hasErrors(second.diagnostics)) return { diagnostics: second.diagnostics }
  const { table, diagnostics: unnamed } = second.model.checkpoint(format, arch)
  if (!table || hasErrors(unnamed)) return { diagnostics: unnamed }
  const bound = bindWeights(second.model.weights, table, checkpoint, {
    loose: choice.loose ?? false,
    config: second.model.config,
    own: ownConfig(checked, checkpoint),
  })
  const diagnostics = [...second.diagnostics, ...unnamed, ...bound.diagnostics]
  return hasErrors(diagnostics) ? { diagnostics } : { model: second.model, weights: bound.sources, diagnostics }
}

/** The numbers by the config that came with the checkpoint alone, where it makes a model; worked out when first asked for. */
function ownConfig(checked: CheckedModel, { config }: Checkpoint): NonNullable<BindOptions['own']> {
  let known: ReturnType<NonNullable<BindOptions['own']>>
  let asked = false
  return () => {
    if (!asked && config) {
      const { model } = checked.specialise({ config })
      known = model && { file: config.file, config: model.config }
    }
    asked = true
    return known
  }
}
