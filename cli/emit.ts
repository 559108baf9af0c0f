// `--emit`: the stages of a compilation as text. One row per kind; a kind that each target has gives one file per target.

import { partsOf } from '../compiler/schedule/loops.ts'
import { readFileSync } from 'node:fs'
import type { Compilation, TargetResult } from '../compiler/compile.ts'
import { printGraph } from '../compiler/graph/print.ts'
import { printProgram } from '../compiler/kernel/print.ts'
import { printLoops } from '../compiler/schedule/print-loops.ts'
import { parse } from '../dsl/parse.ts'
import { manifestFormat } from '../runtime/artifact/manifest.ts'
import { planText } from './plan-text.ts'
import { entryPath } from './project.ts'

type Emitted = readonly (readonly [name: string, text: string])[]

interface Emitter {
  readonly what: string
  emit(compilation: Compilation, file: string): Emitted | Promise<Emitted>
}

const perTarget =
  (name: (target: string) => string, text: (result: TargetResult) => string | undefined | Promise<string>) =>
  async ({ results }: Compilation): Promise<Emitted> => {
    const shown = await Promise.all(results.map(async (result) => [name(result.target), await text(result)] as const))
    return shown.flatMap(([file, body]) => (body === undefined ? [] : [[file, body] as const]))
  }

const textNamed =
  (name: 'wat' | 'wgsl') =>
  ({ text }: TargetResult): string | undefined | Promise<string> =>
    text?.name === name ? text.print() : undefined

/** Spans hold the whole source; places are enough. */
const withoutSource = (key: string, value: unknown): unknown => (key === 'source' ? undefined : value)

const planJson = ({ plan }: TargetResult): string | undefined =>
  plan &&
  JSON.stringify(
    {
      arenaBytes: plan.arenaBytes,
      ownFrom: plan.ownFrom,
      stateBytes: plan.layout.stateBytes,
      states: plan.layout.states,
      tensors: plan.layout.tensors,
      entries: plan.entries.map(({ info, arena, buffers, steps, shares, barriers }) => ({
        name: info.name,
        arenaBytes: arena.bytes,
        lowerBound: arena.lowerBound,
        buffers: buffers.map((buffer) => ({ ...buffer, offset: arena.offsets.get(buffer.id) })),
        steps: steps.map((kernels) => kernels.map((name) => ({ name, share: shares.get(name), meet: barriers.has(name) }))),
      })),
    },
    undefined,
    1,
  )

export const emitters: Readonly<Record<string, Emitter>> = {
  ast: {
    what: 'the syntax tree',
    emit: (_, file) => [
      ['ast.json', JSON.stringify(parse({ path: entryPath(file), text: readFileSync(file, 'utf8') }).tree, withoutSource, 1)],
    ],
  },
  graph: { what: 'graphs as the model defines them', emit: ({ graphs }) => [['graph.txt', graphs.map(printGraph).join('\n\n')]] },
  kernels: {
    what: 'kernels, after fusion',
    emit: perTarget(
      (target) => `kernels.${target}.txt`,
      ({ programs }) => programs.map(printProgram).join('\n\n'),
    ),
  },
  loops: {
    what: 'loops of every kernel',
    emit: perTarget(
      (target) => `loops.${target}.txt`,
      ({ plan }) => plan && [...new Set(plan.functions.values())].flatMap(partsOf).map(printLoops).join('\n\n'),
    ),
  },
  plan: {
    what: 'memory plan',
    emit: perTarget(
      (target) => `plan.${target}.txt`,
      ({ plan }) => plan && planText(plan),
    ),
  },
  'plan-json': { what: 'memory plan as JSON', emit: perTarget((target) => `plan.${target}.json`, planJson) },
  wat: {
    what: 'the WASM module',
    emit: perTarget(() => 'program.wat', textNamed('wat')),
  },
  wgsl: {
    what: 'the WGSL modules',
    emit: perTarget(() => 'program.wgsl', textNamed('wgsl')),
  },
  types: {
    what: 'typed bindings',
    async emit({ contents }) {
      const { emitTypes } = await import('../compiler/artifact/bindings.ts')
      return [['bindings.ts', emitTypes({ ...contents.manifest, format: manifestFormat, tensors: [], shards: [], variants: [] })]]
    },
  },
}

/** Files by name. `kinds` are keys of `emitters`. */
export async function emitTexts(kinds: readonly string[], compilation: Compilation, file: string): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>()
  for (const kind of new Set(kinds)) {
    for (const [name, text] of await emitters[kind]!.emit(compilation, file)) texts.set(name, text.endsWith('\n') ? text : `${text}\n`)
  }
  return texts
}
