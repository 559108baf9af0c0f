// `llamac estimate`: what a model would take in memory and have to do per token, before anything is downloaded or made: weights are not
// read, only sizes and the plan are worked out. With --machine, how fast it could be here at best.

import type { Command } from 'commander'
import { addCompileFlags, type CompileFlags, whole } from './flags.ts'
import { print, printJson, Rejected } from './report.ts'

interface Flags extends CompileFlags {
  readonly threads: number
  readonly machine?: boolean
  readonly json?: boolean
}

export function addEstimate(program: Command): void {
  addCompileFlags(
    program
      .command('estimate')
      .argument('<file>', 'a .dsl file; with --weights its tensors are looked up for their formats, not read')
      .description('memory by class, work per token and whether it fits, without weights'),
  )
    .option('--threads <n>', 'threads on WASM that memory is counted for', whole(1), 1)
    .option('--machine', 'measures this machine, and says how many tokens a second it could reach at best with so many threads')
    .option('--json', 'one JSON document')
    .action(estimate)
}

async function estimate(file: string, flags: Flags): Promise<void> {
  const [
    { buildGraphs },
    { describeEntry },
    { estimateGraphs },
    { prepareProject, accept },
    { findRoles },
    floors,
    { reportOf },
    { textOf },
  ] = await Promise.all([
    import('../compiler/compile.ts'),
    import('../compiler/artifact/entries.ts'),
    import('../compiler/estimate.ts'),
    import('./project.ts'),
    import('../runtime/roles.ts'),
    import('./measure/floors.ts'),
    import('./estimate-report.ts'),
    import('./estimate-text.ts'),
  ])
  const prepared = await prepareProject(file, flags, flags.target ?? ['wasm', 'webgpu'])
  const { model, graphs, diagnostics } = buildGraphs(prepared.model, flags.tap ? { taps: flags.tap } : {})
  await accept(diagnostics)
  if (!model) throw new Rejected(diagnostics)
  const estimated = estimateGraphs(model, graphs, prepared.options)
  const roles = findRoles({ entries: model.entries.map((entry) => describeEntry(entry, model.config)) })
  const work = estimated.planned.flatMap((one) => (one.plan ? [floors.workOfTarget(one, roles)] : []))
  const machine = flags.machine ? await measureMachine(flags.threads, flags.math !== 'strict') : undefined
  const programBytes = await Promise.all(estimated.targets.map((one) => one.programBytes?.()))
  const report = reportOf({
    model,
    estimated,
    programBytes,
    work,
    threads: flags.threads,
    maximum: prepared.maximum,
    math: flags.math ?? 'fast',
    activations: flags.activations,
    ...(machine ? { machine } : {}),
  })
  if (flags.json) printJson(report)
  else print(textOf(report))
}

async function measureMachine(threads: number, relaxed: boolean) {
  const { ThreadCeilings } = await import('./measure/ceilings.ts')
  const ceilings = new ThreadCeilings(threads, relaxed)
  try {
    return {
      dot: await ceilings.measure('dot'),
      madd: await ceilings.measure('madd'),
      readBytes: await ceilings.measure('readBytes', 50, 5),
    }
  } finally {
    await ceilings.close()
  }
}
