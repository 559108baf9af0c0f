// The ordered list of graph passes, and the one function that runs them. A pass is a name and a function from graph to graph;
// kernel-level passes (fuse, merge siblings) come later and have their own lists.

import { LlamacError } from '../../runtime/error.ts'
import { printGraph } from '../graph/print.ts'
import { expectValid } from '../graph/verify.ts'
import type { Graph } from '../graph/types.ts'
import { foldConstants } from './fold-constants.ts'
import { inlineComposites } from './inline-composites.ts'
import { quantiseActivations } from './quantise-activations.ts'
import { tabulate } from './tabulate.ts'

export interface PassOptions {
  /** `--disable-pass`: names of passes to leave out. Inlining cannot be: kernels know no composites. */
  readonly disabledPasses?: readonly string[]
  /** `--print-after`: names of passes whose result goes to `print`; `all` for every one. */
  readonly printAfter?: readonly string[]
  readonly print?: (pass: string, graph: Graph, text: string) => void
  /** Runs the verifier before the first pass and after each; its faults are internal errors. */
  readonly verify?: boolean
  /** Names of composites that stay calls. */
  readonly keepComposite?: (name: string) => boolean
  /** Whether a weight is stored in a quantised format (path as in the graph, with `[*]`); without it activations stay as they are. */
  readonly quantised?: (weightPath: string) => boolean
}

export interface GraphPass {
  readonly name: string
  run(graph: Graph, options: PassOptions): Graph
}

export const graphPasses: readonly GraphPass[] = [
  { name: 'inline-composites', run: (graph, { keepComposite }) => inlineComposites(graph, keepComposite) },
  { name: 'fold-constants', run: foldConstants },
  { name: 'tabulate', run: tabulate },
  { name: 'fold-after-tables', run: foldConstants },
  { name: 'quantise-activations', run: (graph, { quantised }) => (quantised ? quantiseActivations(graph, quantised) : graph) },
]

/** Runs all passes but the disabled ones. Throws LlamacError G101 for a name that no pass has. */
export function runGraphPasses(graph: Graph, options: PassOptions = {}): Graph {
  const { disabledPasses = [], printAfter = [], verify = false } = options
  for (const name of [...disabledPasses, ...printAfter]) {
    if (name === 'all' || graphPasses.some((pass) => pass.name === name)) continue
    throw new LlamacError('G101', `there is no graph pass ${name}; there are ${graphPasses.map((pass) => pass.name).join(', ')}`)
  }
  if (verify) expectValid(graph, 'building')
  return graphPasses.reduce((before, pass) => {
    if (disabledPasses.includes(pass.name)) return before
    const after = pass.run(before, options)
    if (verify) expectValid(after, pass.name)
    if (options.print && (printAfter.includes(pass.name) || printAfter.includes('all'))) options.print(pass.name, after, printGraph(after))
    return after
  }, graph)
}
