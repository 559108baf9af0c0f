// What quantising changed, weight by weight: the root mean square of w − w′ over that of w, and the same with each column's
// importance where a text has told it. Worst first, for people or as JSON.

import { writeFileSync } from 'node:fs'
import type { Compilation } from '../../compiler/compile.ts'
import type { StoredChange } from '../../compiler/weights/stored-change.ts'
import { LlamacError } from '../../runtime/error.ts'
import { print } from '../report.ts'
import { grouped, tableLines } from '../table.ts'

export interface WeightReport {
  readonly path: string
  /** Storage format in the checkpoint, and in the artifact. */
  readonly from: string
  readonly format: string
  readonly values: number
  readonly bytes: number
  readonly bits_per_value: number
  /** 0 where the bytes of the file were only moved. */
  readonly error: number
  /** Absent where no column's importance is known. */
  readonly weighted_error?: number
}

export interface QuantReport {
  readonly model: string
  /** Tokens of the text that was calibrated with. */
  readonly calibrated_on?: number
  readonly values: number
  readonly bytes: number
  readonly bits_per_value: number
  /** Over all values together. */
  readonly error: number
  readonly weights: readonly WeightReport[]
}

const rootRatio = (part: number, whole: number): number => (whole > 0 ? Math.sqrt(part / whole) : 0)

/** After the artifact is written. `changes`: what CompileOptions.onStored was told. */
export function quantReport(
  { contents }: Pick<Compilation, 'contents'>,
  changes: ReadonlyMap<string, StoredChange>,
  calibratedOn?: number,
): QuantReport {
  const weights = contents.tensors.flatMap(({ path, dims, format, bytes }): WeightReport[] => {
    const change = changes.get(path)
    if (!change) return []
    const values = dims.reduce((product, dim) => product * dim, 1)
    const weighted = change.weightedSquares > 0 ? { weighted_error: rootRatio(change.weightedErrors, change.weightedSquares) } : {}
    const bits = (8 * bytes) / values
    return [
      {
        path,
        from: change.from,
        format,
        values,
        bytes,
        bits_per_value: bits,
        error: rootRatio(change.errors, change.squares),
        ...weighted,
      },
    ]
  })
  const sum = (of: (weight: WeightReport) => number): number => weights.reduce((total, weight) => total + of(weight), 0)
  const [values, bytes] = [sum((weight) => weight.values), sum((weight) => weight.bytes)]
  const all = [...changes.values()]
  const errors = all.reduce((total, change) => total + change.errors, 0)
  const squares = all.reduce((total, change) => total + change.squares, 0)
  return {
    model: contents.manifest.model,
    ...(calibratedOn === undefined ? {} : { calibrated_on: calibratedOn }),
    values,
    bytes,
    bits_per_value: values > 0 ? (8 * bytes) / values : 0,
    error: rootRatio(errors, squares),
    weights: weights.sort((a, b) => (b.weighted_error ?? b.error) - (a.weighted_error ?? a.error) || (a.path < b.path ? -1 : 1)),
  }
}

const percent = (part: number): string => `${(100 * part).toPrecision(3)} %`

/** The report as a table; weights that only moved are one line at the end. */
export function showReport({ weights, values, bytes, bits_per_value, error, calibrated_on }: QuantReport): string {
  const changed = weights.filter((weight) => weight.error > 0)
  const rows = changed.map(({ path, from, format, ...weight }) => [
    path,
    `${from} > ${format}`,
    grouped(weight.bytes),
    weight.bits_per_value.toFixed(2),
    percent(weight.error),
    ...(calibrated_on === undefined ? [] : [weight.weighted_error === undefined ? '-' : percent(weight.weighted_error)]),
  ])
  const head = ['weight', 'stored', 'bytes', 'bits', 'error', ...(calibrated_on === undefined ? [] : ['weighted'])]
  const still = weights.length - changed.length
  const total = `${weights.length} weights, ${grouped(values)} values in ${grouped(bytes)} bytes: ${bits_per_value.toFixed(2)} bits each`
  return [
    ...(rows.length > 0 ? [...tableLines([head, ...rows], [0, 1]), ''] : []),
    `${total}; error of those that changed ${percent(error)}, ${still} unchanged`,
    ...(calibrated_on === undefined ? [] : [`weighted by what met each column in ${grouped(calibrated_on)} tokens of text`]),
  ].join('\n')
}

/** To a file, as JSON if its name says so, or to stdout as `-`. E_OUTPUT_FILE. */
export function putReport(report: QuantReport, file: string): void {
  if (file === '-') return print(showReport(report))
  try {
    writeFileSync(file, file.endsWith('.json') ? `${JSON.stringify(report, undefined, 1)}\n` : `${showReport(report)}\n`)
  } catch (cause) {
    throw new LlamacError('E_OUTPUT_FILE', `cannot write ${file}: ${(cause as Error).message}`, { cause })
  }
}
