// How states are stored: as f32, or the caches among them as halves, by one format for all or by rules by path. A cache is a state of
// floats of which no part is made from what it held before; the others (running sums) would lose a little more with every call.

import { LlamacError } from '../../runtime/error.ts'
import type { StateInfo } from '../../dsl/sink.ts'
import { reachable, regionsOf, rootsOf } from '../graph/nodes.ts'
import { patternOf } from '../graph/paths.ts'
import { is, type Graph, type Node } from '../graph/types.ts'
import { isVersion, statePathOf, valueOperands } from '../passes/fuse.ts'
import { type PathRule, policiesOf } from './path-rules.ts'

export const cacheFormats = ['f32', 'f16'] as const
export type CacheFormat = (typeof cacheFormats)[number]
export type CacheRule = PathRule<CacheFormat>

/** Patterns of the states that are stored as halves. Throws E_CACHE_PATHS for a rule that fits no cache, or only some of an array's. */
export function halvedStates(
  cache: CacheFormat | readonly CacheRule[],
  states: readonly StateInfo[],
  graphs: readonly Graph[],
): ReadonlySet<string> {
  if (cache === 'f32') return new Set()
  const running = runningStates(graphs)
  const caches = states.flatMap(({ path, dtype }) => (dtype === 'f32' && !running.has(patternOf(path)) ? [path] : []))
  const formatOf = policiesOf(cache, caches, 'f32', { flag: '--cache', thing: 'cache', code: 'E_CACHE_PATHS' })
  const chosen = new Map<string, CacheFormat>()
  for (const path of caches) {
    const [pattern, format] = [patternOf(path), formatOf(path)]
    const before = chosen.get(pattern) ?? format
    // One body serves all instances, and says how it reads its state.
    if (before !== format)
      throw new LlamacError('E_CACHE_PATHS', `--cache says ${before} and ${format} for ${pattern}: all of an array's are stored alike`)
    chosen.set(pattern, format)
  }
  return new Set([...chosen].flatMap(([pattern, format]) => (format === 'f16' ? [pattern] : [])))
}

/** Patterns of states that something is stored to which is made from the state itself. */
function runningStates(graphs: readonly Graph[]): Set<string> {
  const found = new Set<string>()
  const visit = (owner: Pick<Graph, 'results' | 'states'>): void => {
    /** The states that each node is made from. */
    const behind = new Map<Node, ReadonlySet<string>>()
    for (const node of reachable(rootsOf(owner))) {
      const from = new Set(valueOperands(node).flatMap((operand) => [...behind.get(operand)!]))
      if (isVersion(node)) {
        const path = statePathOf(node)
        if (from.has(path)) found.add(patternOf(path))
        from.add(path)
        if (!is(node, 'state')) for (const other of behind.get(node.operands[0]!)!) from.add(other)
      }
      behind.set(node, from)
      for (const region of regionsOf(node)) visit(region)
    }
  }
  graphs.forEach(visit)
  return found
}
