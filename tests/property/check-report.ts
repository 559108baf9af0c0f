// What a run over random cases has seen, summed over them: programs, ops, and in how many cases each pass did something. A pass that
// never changes anything would prove nothing.

import type { PlannedTarget } from '../../compiler/compile.ts'
import { printGraph } from '../../compiler/graph/print.ts'
import { is, type Graph } from '../../compiler/graph/types.ts'
import { kernelsOf } from '../../compiler/kernel/weights.ts'
import { graphPasses } from '../../compiler/passes/pipeline.ts'
import type { CacheFormat } from '../../compiler/plan/caches.ts'
import type { LoopFunction } from '../../compiler/schedule/loops.ts'
import type { Tally } from './compare.ts'
import { nodesOf } from './random-graph.ts'

export interface CheckReport extends Tally {
  programs: number
  configurations: number
  refused: Map<string, number>
  /** In how many cases an op occurs, in the graph or after the passes. */
  ops: Map<string, number>
  /** In how many cases a pass changed something. */
  changed: Map<string, number>
  seconds: Map<string, number>
}

export const newReport = (): CheckReport => ({
  programs: 0,
  configurations: 0,
  refused: new Map(),
  ops: new Map(),
  changed: new Map(),
  seconds: new Map(),
  elements: 0,
  unknown: 0,
  notFinite: 0,
})

export const count = (map: Map<string, number>, key: string, by = 1): void => void map.set(key, (map.get(key) ?? 0) + by)

/** Graph passes that depend on how things are stored: they are left to the planner. */
export const storagePasses: readonly string[] = ['halve-states', 'quantise-states', 'quantise-activations']

/** Which passes changed the graph, and the ops of it and of `simple`, which they gave. */
export function notePasses({ changed, ops }: CheckReport, graph: Graph, simple: Graph): void {
  graphPasses.reduce((before, { name, run }) => {
    const after = run(before, {})
    if (!storagePasses.includes(name) && printGraph(after) !== printGraph(before)) count(changed, name)
    return after
  }, graph)
  if (nodesOf(simple).some((node) => is(node, 'slice') && is(node.operands[0]!, 'constant'))) count(changed, 'tables by position')
  for (const op of new Set([...nodesOf(graph), ...nodesOf(simple)].map((node) => node.op))) count(ops, op)
}

/** What became of a case's graph on its way to a target. */
export function noteProgram(
  { changed }: CheckReport,
  before: Graph,
  { graphs: [graph], programs: [program], plan }: PlannedTarget,
  target: string,
  cache: CacheFormat,
): void {
  const { states } = plan!.layout
  if (cache !== 'f32') {
    if (states.some(({ dtype }) => dtype === 'f16') && cache === 'f16') count(changed, `halve-states (${target})`)
    if (states.some(({ format }) => format)) count(changed, `quantise-states (${target})`)
    return
  }
  if (states.some(({ order }) => order)) count(changed, `order-states (${target})`)
  const nodes = nodesOf(graph!)
  if (nodes.some(({ op }) => op === 'quantise')) count(changed, 'quantise-activations')
  const groupsOf = (of: Graph): number[] => nodesOf(of).flatMap((node) => (is(node, 'loop') ? [node.attributes.groups.length] : []))
  if (groupsOf(graph!).join() !== groupsOf(before).join()) count(changed, `split groups (${target})`)
  const steps = program!.steps.flatMap((step) => (step.kind === 'loop' ? step.groups.flat() : [step]))
  if (steps.some(({ kind }) => kind === 'launch')) count(changed, `merge-siblings (${target})`)
  const kernels = kernelsOf(program!.steps)
  if (kernels.some(({ name }) => name.includes('_part'))) count(changed, 'split-weights')
  // Only tiles keep vectors.
  const isTile = ({ operands }: LoopFunction): boolean => operands.some(({ memory, vector }) => memory.kind === 'scratch' && vector)
  if (kernels.some(({ name }) => isTile(plan!.functions.get(name)!))) count(changed, 'tiles of contracts')
  if (
    kernels.length <
    nodes.filter(({ op }) => !['literal', 'size', 'iota', 'weight', 'state', 'argument', 'param', 'result', 'constant'].includes(op)).length
  )
    count(changed, `fuse (${target})`)
}
