// `llamac compile`: a model's source and weights to an artifact folder. Prints the folder; with --emit and without -o the texts
// go to stdout and nothing is written.

import type { Command } from 'commander'
import { addCompileFlags, addTap, type CompileFlags, list } from './flags.ts'
import type { StoredChange } from '../compiler/weights/stored-change.ts'
import { startBuilder } from './module-builder.ts'
import { interruptible, note, print, UsageError } from './report.ts'

interface Flags extends CompileFlags {
  readonly emit?: readonly string[]
  readonly output?: string
  readonly quantReport?: string
}

export function addCompile(program: Command): void {
  addTap(
    addCompileFlags(program.command('compile').argument('<file>', 'a .dsl file').description('compiles a model to an artifact folder')),
  )
    .option(
      '--emit <kinds>',
      'also ast, graph, kernels, loops, plan, plan-json, wat, wgsl, types; into the folder, or to stdout without -o',
      list,
    )
    .option(
      '--quant-report <file>',
      'what storing changed, weight by weight, worst first: a table, or JSON for a name in .json; - for stdout',
    )
    .option('--no-source', 'keep no texts of the model in the artifact: verify and bench --kernels will then need the .dsl')
    .option('-o, --output <folder>', 'the artifact (default: out/<model>)')
    .action((file: string, flags: Flags) => interruptible((signal) => compile(file, flags, signal)))
}

async function compile(file: string, flags: Flags, signal: AbortSignal): Promise<void> {
  const targets = flags.target ?? ['wasm']
  const writes = flags.output !== undefined || flags.emit === undefined
  using builder = writes && targets.includes('wasm') ? startBuilder(Number.POSITIVE_INFINITY) : undefined
  const { compileProject } = await import('./project.ts')
  const { emitters, emitTexts } = await import('./emit.ts')
  const { emit = [] } = flags
  const unknown = emit.find((kind) => !Object.hasOwn(emitters, kind))
  if (unknown !== undefined) throw new UsageError(`--emit knows no ${unknown}; there are ${Object.keys(emitters).join(', ')}`)

  const started = performance.now()
  const changes = new Map<string, StoredChange>()
  const onStored = flags.quantReport === undefined ? undefined : (path: string, change: StoredChange) => changes.set(path, change)
  const { compilation, calibrated } = await compileProject(file, flags, targets, { signal, onStored, buildWasm: builder?.build })
  const extras = await emitTexts(emit, compilation, file)
  if (emit.length > 0 && flags.output === undefined) {
    for (const [name, text] of extras) print(extras.size === 1 ? text : `// ---- ${name}\n${text}`)
    return
  }
  const { contents } = compilation
  if (flags.quantReport !== undefined && !contents.withWeights) throw new UsageError('--quant-report compares weights: give --weights')
  if (!contents.withWeights)
    note('note: compiled without weights (--weights, --seed-weights); the artifact describes the model but cannot run')
  else if (!contents.tokenizer) note('note: no tokenizer came with the weights (--tokenizer); the artifact takes and gives ids only')
  const folder = flags.output ?? `out/${contents.manifest.model.toLowerCase()}`
  const { writeArtifact } = await import('../compiler/artifact/write.ts')
  const manifest = await writeArtifact({ ...contents, extras }, folder, { signal })
  const bytes = manifest.shards.reduce((sum, shard) => sum + shard.bytes, 0)
  const variants = manifest.variants.map(({ target, requires }) => [target, ...requires].join('+')).join(', ')
  note(
    `${manifest.model}: ${manifest.parameters.toLocaleString('en-US')} parameters, ${(bytes / 2 ** 20).toFixed(1)} MiB of weights, ${variants}, ` +
      `${((performance.now() - started) / 1000).toFixed(1)} s`,
  )
  if (flags.quantReport !== undefined) {
    const { putReport, quantReport } = await import('./measure/quant-report.ts')
    putReport(quantReport(compilation, changes, calibrated?.tokens), flags.quantReport)
  }
  print(folder)
}
