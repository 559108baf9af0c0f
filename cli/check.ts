// `llamac check`: every diagnostic of the files, and how large the models are, by preset.

import { type Command, Option } from 'commander'
import type { Diagnostic } from '../dsl/diagnostics.ts'
import type { CheckedModel, SpecialisedModel } from '../dsl/index.ts'
import { asGithub, asJson, asSarif, type DiagnosticFormat, diagnosticFormats } from './diagnostic-formats.ts'
import { addPreset } from './flags.ts'
import { printable } from '../dsl/text-width.ts'
import { modelFiles } from './model-files.ts'
import { print, printJson, Rejected, showDiagnostics, version } from './report.ts'
import { tableLines } from './table.ts'

interface Flags {
  readonly preset?: string
  readonly allPresets?: boolean
  readonly format: DiagnosticFormat
}

const bytesOf: Readonly<Record<string, number>> = { f16: 2, bf16: 2, i8: 1, u8: 1, bool: 1 }

export function addCheck(program: Command): void {
  const command = program
    .command('check')
    .argument('<files...>', '.dsl files, or folders of them')
    .description('diagnostics; sizes and parameter counts')
    .option('--all-presets', 'with the numbers of every preset')
    .addOption(
      new Option('--format <name>', 'pretty: for people; the others are written to stdout').choices(diagnosticFormats).default('pretty'),
    )
  addPreset(command).action(check)
  command.options.find(({ long }) => long === '--all-presets')?.conflicts('preset')
}

interface Sizes {
  readonly preset: string | undefined
  readonly parameters: number
  readonly tensors: number
  readonly stateBytes: number
}

interface Checked {
  readonly file: string
  readonly model: string
  readonly presets: readonly Sizes[]
}

async function check(paths: readonly string[], flags: Flags): Promise<void> {
  const files = modelFiles(paths)
  const [{ loadModel }, { entryPath, sourceReader }] = await Promise.all([import('../dsl/index.ts'), import('./project.ts')])
  const all: Diagnostic[] = []
  const models: Checked[] = []
  for (const file of files) {
    const { model, diagnostics } = loadModel(entryPath(file), sourceReader())
    all.push(...diagnostics)
    if (!model) {
      if (flags.format === 'pretty' && diagnostics.every(({ severity }) => severity !== 'error')) print(`${file}: no model, no errors`)
      continue
    }
    const presets = flags.allPresets && model.presets.length > 0 ? model.presets : [flags.preset]
    const found = presets.map((preset) => ({ preset, ...numbered(model, preset) }))
    all.push(...merged(found))
    models.push({ file, model: model.name, presets: found.flatMap(({ sizes }) => sizes ?? []) })
  }
  const counted = models.filter(({ presets }) => presets.length > 0)
  if (flags.format === 'pretty' && counted.length > 0) print(table(counted).join('\n'))
  await tell(all, models, flags.format)
}

/** With numbers, and every table of its own against its weights. */
function numbered(
  checked: CheckedModel,
  preset: string | undefined,
): { readonly sizes?: Sizes; readonly diagnostics: readonly Diagnostic[] } {
  const { model, diagnostics } = checked.specialise(preset === undefined ? {} : { preset })
  if (!model) return { diagnostics }
  const unnamed = checked.checkpoints.filter(({ own }) => own).flatMap(({ format, arch }) => model.checkpoint(format, arch).diagnostics)
  return { sizes: sizesOf(model), diagnostics: [...diagnostics, ...unnamed] }
}

/** What several presets find at one place is told once. */
function merged(found: readonly { readonly preset: string | undefined; readonly diagnostics: readonly Diagnostic[] }[]): Diagnostic[] {
  const places = new Map<string, { readonly diagnostic: Diagnostic; readonly presets: Set<string> }>()
  for (const { preset, diagnostics } of found) {
    for (const diagnostic of diagnostics) {
      const span = diagnostic.labels[0]?.span
      const key = `${diagnostic.code} ${span ? `${span.source.path}:${span.start}` : diagnostic.message}`
      const old = places.get(key)
      if (!old) places.set(key, { diagnostic, presets: new Set() })
      else if (preset !== undefined) old.presets.add(preset)
    }
  }
  return [...places.values()].map(({ diagnostic, presets }) =>
    presets.size === 0
      ? diagnostic
      : { ...diagnostic, notes: [...diagnostic.notes, `also with ${[...presets].map((name) => `"${name}"`).join(', ')}`] },
  )
}

async function tell(all: readonly Diagnostic[], models: readonly object[], format: DiagnosticFormat): Promise<void> {
  const failed = all.some(({ severity }) => severity === 'error')
  if (format === 'pretty') {
    if (failed) throw new Rejected(all)
    await showDiagnostics(all)
    return
  }
  if (format === 'json') printJson({ diagnostics: asJson(all), models })
  else if (format === 'sarif') printJson(asSarif(all, version))
  else if (all.length > 0) print(asGithub(all))
  if (failed) throw new Rejected([])
}

const product = (dims: readonly number[]): number => dims.reduce((all, dim) => all * dim, 1)

function sizesOf({ preset, parameters, weights, states }: SpecialisedModel): Sizes {
  const stateBytes = states.reduce((sum, { dtype, dims }) => sum + product(dims) * (bytesOf[dtype] ?? 4), 0)
  return { preset, parameters, tensors: weights.filter(({ tied }) => tied === undefined).length, stateBytes }
}

/** One line a preset; names to the left, numbers to the right. A single model is named above, several in columns, where they change. */
function table(models: readonly Checked[]): string[] {
  const [only] = models.length === 1 ? models : []
  const names = only ? 1 : 3
  const cells = [
    ['file', 'model', 'preset', 'parameters', 'tensors', 'states'],
    ...models.flatMap(({ file, model, presets }) =>
      presets.map(({ preset, parameters, tensors, stateBytes }, i) => [
        ...(i === 0 ? [printable(file), printable(model)] : ['', '']),
        printable(preset ?? '(defaults)'),
        parameters.toLocaleString('en-US'),
        String(tensors),
        `${(stateBytes / 2 ** 20).toFixed(1)} MiB`,
      ]),
    ),
  ].map((line) => line.slice(3 - names))
  const lines = tableLines(cells, [...Array(names).keys()])
  return only ? [`${printable(only.file)}: ${printable(only.model)}`, ...lines.map((line) => `  ${line}`)] : lines
}
