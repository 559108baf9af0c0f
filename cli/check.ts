// `llamac check`: every diagnostic of the files, and how large the models are, by preset.

import type { Command } from 'commander'
import type { Diagnostic } from '../dsl/diagnostics.ts'
import type { SpecialisedModel } from '../dsl/index.ts'
import { addPreset } from './flags.ts'
import { printable } from '../dsl/text-width.ts'
import { print, Rejected, showDiagnostics } from './report.ts'

interface Flags {
  readonly preset?: string
  readonly allPresets?: boolean
}

const bytesOf: Readonly<Record<string, number>> = { f16: 2, bf16: 2, i8: 1, u8: 1, bool: 1 }

export function addCheck(program: Command): void {
  const command = program.command('check').argument('<files...>', '.dsl files').description('diagnostics; sizes and parameter counts')
    .option('--all-presets', 'with the numbers of every preset')
  addPreset(command).action(check)
  command.options.find(({ long }) => long === '--all-presets')?.conflicts('preset')
}

async function check(files: readonly string[], flags: Flags): Promise<void> {
  const [{ loadModel }, { entryPath, sourceReader }] = await Promise.all([import('../dsl/index.ts'), import('./project.ts')])
  const all: Diagnostic[] = []
  for (const file of files) {
    const path = entryPath(file)
    const { model, diagnostics } = loadModel(path, sourceReader())
    all.push(...diagnostics)
    if (!model) {
      if (diagnostics.every(({ severity }) => severity !== 'error')) print(`${file}: no model, no errors`)
      continue
    }
    const presets = flags.allPresets ? model.presets : [flags.preset]
    const rows = (presets.length > 0 ? presets : [undefined]).flatMap((preset) => {
      const numbered = model.specialise(preset === undefined ? {} : { preset })
      all.push(...numbered.diagnostics)
      return numbered.model ? [row(numbered.model)] : []
    })
    if (rows.length > 0) print([`${file}: ${model.name}`, ...table([['preset', 'parameters', 'tensors', 'states'], ...rows])].join('\n'))
  }
  if (all.some(({ severity }) => severity === 'error')) throw new Rejected(all)
  await showDiagnostics(all)
}

const product = (dims: readonly number[]): number => dims.reduce((all, dim) => all * dim, 1)

function row({ preset, parameters, weights, states }: SpecialisedModel): string[] {
  const stateBytes = states.reduce((sum, { dtype, dims }) => sum + product(dims) * (bytesOf[dtype] ?? 4), 0)
  const stored = weights.filter(({ tied }) => tied === undefined).length
  return [printable(preset ?? '(defaults)'), parameters.toLocaleString('en-US'), String(stored), `${(stateBytes / 2 ** 20).toFixed(1)} MiB`]
}

/** The first column to the left, numbers to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)))
  return rows.map((cells) => `  ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  ')}`)
}
