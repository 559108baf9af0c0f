// How states are stored: as f32, or the caches among them as halves or in blocks of 8 bits, by one format for all or by rules by path.
// A cache is a state of floats of which no part is made from what it held before; the others (running sums) would lose a little more
// with every call.

import { LlamacError } from '../../runtime/error.ts'
import type { StateInfo } from '../../dsl/sink.ts'
import { reachable, regionsOf, rootsOf } from '../graph/nodes.ts'
import { patternOf } from '../graph/paths.ts'
import { is, type Graph, type Node } from '../graph/types.ts'
import { blockSize } from '../ops/quantise.ts'
import { isVersion, stateOf, valueOperands } from '../passes/fusion-nodes.ts'
import { type PathRule, policiesOf } from './path-rules.ts'

export const cacheFormats = ['f32', 'f16', 'q8_0'] as const
export type CacheFormat = (typeof cacheFormats)[number]
export type CacheRule = PathRule<CacheFormat>

/** The graph pass that sees to it. */
const passOf: Readonly<Partial<Record<CacheFormat, string>>> = { f16: 'halve-states', q8_0: 'quantise-states' }

export interface CachePlan {
  /** By pattern of the state. Absent: as the model says. */
  readonly formats: ReadonlyMap<string, CacheFormat>
  readonly notes: readonly string[]
}

/** The formats of caches. Throws E_CACHE_PATHS for a rule that fits no cache, or only some of an array's. */
export function planCaches(
  cache: CacheFormat | readonly CacheRule[],
  states: readonly StateInfo[],
  graphs: readonly Graph[],
  disabledPasses: readonly string[] = [],
): CachePlan {
  if (cache === 'f32') return { formats: new Map(), notes: [] }
  const { running, cut } = usesOf(graphs)
  const caches = states.filter(({ path, dtype }) => dtype === 'f32' && !running.has(patternOf(path)))
  const paths = caches.map(({ path }) => path)
  const formatOf = policiesOf(cache, paths, 'f32', { flag: '--cache', thing: 'cache', code: 'E_CACHE_PATHS' })
  const formats = new Map<string, CacheFormat>()
  const notes = new Set<string>()
  for (const { path, dims } of caches) {
    const pattern = patternOf(path)
    const inBlocks = dims.length > 1 && dims.at(-1)! % blockSize === 0 && !cut.has(pattern)
    const wanted = formatOf(path)
    const format = wanted === 'q8_0' && !inBlocks ? 'f16' : wanted
    if (format !== wanted)
      notes.add(`${pattern}: f16, since only rows of a multiple of ${blockSize} numbers that are stored whole can be ${wanted}`)
    const before = formats.get(pattern) ?? format
    // One body serves all instances, and says how it reads its state.
    if (before !== format)
      throw new LlamacError('E_CACHE_PATHS', `--cache says ${before} and ${format} for ${pattern}: all of an array's are stored alike`)
    formats.set(pattern, format)
  }
  for (const [pattern, format] of formats) if (disabledPasses.includes(passOf[format] ?? '')) formats.delete(pattern)
  return { formats, notes: [...notes] }
}

/**
 * Patterns of states that something is stored to which is made from the state itself (`running`), and of those of which parts of rows
 * are stored (`cut`).
 */
function usesOf(graphs: readonly Graph[]): { readonly running: ReadonlySet<string>; readonly cut: ReadonlySet<string> } {
  const [running, cut] = [new Set<string>(), new Set<string>()]
  const visit = (owner: Pick<Graph, 'results' | 'states'>): void => {
    /** The states that each node is made from. */
    const behind = new Map<Node, ReadonlySet<string>>()
    for (const node of reachable(rootsOf(owner))) {
      const from = new Set(valueOperands(node).flatMap((operand) => [...behind.get(operand)!]))
      if (isVersion(node)) {
        const { path } = stateOf(node).attributes
        if (from.has(path)) running.add(patternOf(path))
        from.add(path)
        if (!is(node, 'state')) for (const other of behind.get(node.operands[0]!)!) from.add(other)
        if ((is(node, 'store') || is(node, 'scatter')) && node.attributes.axis === node.type.dims.length - 1) cut.add(patternOf(path))
      }
      behind.set(node, from)
      for (const region of regionsOf(node)) visit(region)
    }
  }
  graphs.forEach(visit)
  return { running, cut }
}
