// Plans of every model of models/ and examples/ with short contexts: for tests that look at kernels, not at numbers.

import { readdirSync } from 'node:fs'
import { type CompileOptions, planGraphs } from '../../compiler/compile.ts'
import { buildGraph } from '../../compiler/graph/builder.ts'
import type { Plan } from '../../compiler/plan/plan.ts'
import { loadModel } from '../../dsl/index.ts'
import { modelNames, numbered, projectFolder, readProject, summary } from '../dsl/read-models.ts'

export const modelFiles = [
  ...modelNames.map((name) => `models/${name}`),
  ...readdirSync(`${projectFolder}examples`).flatMap((file) => (file.endsWith('.dsl') ? [`examples/${file.slice(0, -4)}`] : [])),
]

/** The plan of the first target. */
export function planOf(file: string, options: CompileOptions, set: Readonly<Record<string, string>> = {}): Plan {
  const { model: checked, diagnostics } = loadModel(`${file}.dsl`, readProject)
  if (!checked) throw new Error(summary(diagnostics).join('; '))
  const { model: short } = checked.specialise({ set: { ctx: '64', ...set }, maximum: { seq: 64 } })
  // Tables of positions are not what is looked at here.
  const model = short ?? numbered(checked, { maximum: { seq: 64 } })
  const graphs = model.entries.map((entry) => buildGraph(model, entry.name).graph!)
  return planGraphs(model, graphs, options).targets[0]!.plan!
}
