// The ordered list of passes, and the one function that runs those over graphs. A graph pass is a name and a function from graph
// to graph. Kernel passes follow in order where kernels are built (compile.ts calls them); here are their names, since
// `--disable-pass` knows every pass alike.

import { LlamacError } from '../../runtime/error.ts'
import { printGraph } from '../graph/print.ts'
import { expectValid } from '../graph/verify.ts'
import type { Graph } from '../graph/types.ts'
import { foldConstants } from './fold-constants.ts'
import { halveStates } from './halve-states.ts'
import { inlineComposites } from './inline-composites.ts'
import { quantiseActivations } from './quantise-activations.ts'
import { quantiseStates } from './quantise-states.ts'
import { type Tables, tabulate } from './tabulate.ts'

export interface PassOptions {
  /** `--disable-pass`: names of passes to leave out, graph or kernel passes, of `optionalPasses`. */
  readonly disabledPasses?: readonly string[]
  /** `--print-after`: names of passes whose result goes to `print`; `all` for every one. */
  readonly printAfter?: readonly string[]
  readonly print?: (pass: string, graph: Graph, text: string) => void
  /** Runs the verifier before the first pass and after each; its faults are internal errors. */
  readonly verify?: boolean
  /** Names of composites that stay calls. */
  readonly keepComposite?: (name: string) => boolean
  /** Whether a state is stored as halves (path, `[*]` for the instances of an array); without it all stay as they are. */
  readonly halves?: (statePath: string) => boolean
  /** The same for states in blocks of 8 bits. */
  readonly blocks?: (statePath: string) => boolean
  /** Whether a weight is stored in a quantised format (concrete path); without it activations stay as they are. */
  readonly quantised?: (weightPath: string) => boolean
  /** Tables of graphs before, of one compilation. */
  readonly tables?: Tables
}

export interface GraphPass {
  readonly name: string
  run(graph: Graph, options: PassOptions): Graph
}

export const graphPasses: readonly GraphPass[] = [
  { name: 'inline-composites', run: (graph, { keepComposite }) => inlineComposites(graph, keepComposite) },
  { name: 'fold-constants', run: foldConstants },
  { name: 'tabulate', run: (graph, { tables }) => tabulate(graph, tables) },
  { name: 'fold-after-tables', run: foldConstants },
  { name: 'halve-states', run: (graph, { halves }) => (halves ? halveStates(graph, halves) : graph) },
  { name: 'quantise-states', run: (graph, { blocks }) => (blocks ? quantiseStates(graph, blocks) : graph) },
  { name: 'quantise-activations', run: (graph, { quantised }) => (quantised ? quantiseActivations(graph, quantised) : graph) },
]

/** In order, after the graph passes: what is inlined into one kernel, which kernels share a launch, how states lie, which weights are cut. */
export const kernelPasses = ['fuse', 'merge-siblings', 'order-states', 'split-weights'] as const

const graphPassNames = graphPasses.map((pass) => pass.name)

export const passNames: readonly string[] = [...graphPassNames, ...kernelPasses]

/** Kernels know no composites, so nothing compiles without inlining. */
const needed = 'inline-composites'

/** What `--disable-pass` may leave out. */
export const optionalPasses: readonly string[] = passNames.filter((name) => name !== needed)

function expectKnown(names: readonly string[], known: readonly string[], what: string): void {
  const unknown = names.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new LlamacError('G101', `there is no ${what} ${unknown}; there are ${known.join(', ')}`)
}

/** Whether a kernel pass runs. */
export const runsPass = (pass: (typeof kernelPasses)[number], { disabledPasses = [] }: PassOptions): boolean =>
  !disabledPasses.includes(pass)

/** Runs all graph passes but the disabled ones. Throws LlamacError G101 for a name that no pass has, or one that is needed. */
export function runGraphPasses(graph: Graph, options: PassOptions = {}): Graph {
  const { disabledPasses = [], printAfter = [], verify = false } = options
  if (disabledPasses.includes(needed))
    throw new LlamacError('G101', `the pass ${needed} is needed to compile; those that can be left out are ${optionalPasses.join(', ')}`)
  expectKnown(disabledPasses, optionalPasses, 'pass')
  expectKnown(printAfter, [...graphPassNames, 'all'], 'graph pass')
  if (verify) expectValid(graph, 'building')
  return graphPasses.reduce((before, pass) => {
    if (disabledPasses.includes(pass.name)) return before
    const after = pass.run(before, options)
    if (verify) expectValid(after, pass.name)
    if (options.print && (printAfter.includes(pass.name) || printAfter.includes('all'))) options.print(pass.name, after, printGraph(after))
    return after
  }, graph)
}
