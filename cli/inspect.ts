// `llamac inspect`: what an artifact or a checkpoint holds, without loading it. Nothing of the weights' bytes is read.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { byteSize } from '../compiler/byte-size.ts'
import { type Manifest, readArtifact } from '../runtime/index.ts'
import { signature } from '../runtime/entry-call.ts'
import { printable } from '../dsl/text-width.ts'
import { print, printJson } from './report.ts'

interface Flags {
  readonly json?: boolean
}

const mostListed = 8

export function addInspect(program: Command): void {
  program
    .command('inspect')
    .description('an artifact, GGUF, safetensors or llama2.c file: tensors, metadata, entries, memory plan')
    .argument('<path>', 'an artifact folder, a checkpoint, or its folder')
    .option('--json', 'one JSON document')
    .action((path: string, flags: Flags) =>
      existsSync(join(path, 'manifest.json')) ? inspectArtifact(path, flags) : inspectCheckpoint(path, flags),
    )
}

async function inspectArtifact(path: string, { json }: Flags): Promise<void> {
  const { manifest } = await readArtifact(path)
  if (json) return printJson({ kind: 'artifact', ...manifest })
  print(
    [
      printable(
        `${manifest.model}${manifest.preset === undefined ? '' : ` ${manifest.preset}`}: ${manifest.parameters.toLocaleString('en-US')} parameters, ${manifest.math} math, ${manifest.activations ? `${manifest.activations} activations, ` : ''}by ${manifest.generator}`,
      ),
      section(
        'config',
        Object.entries(manifest.config).map(([key, value]) => `${key} = ${JSON.stringify(value)}`),
      ),
      section(
        'entries',
        manifest.entries.map((entry) => `${signature(entry)}${entry.role === undefined ? '' : `  (${entry.role})`}`),
      ),
      section('variants', manifest.variants.map(variantText)),
      section(
        'states',
        manifest.states.map(
          ({ path: name, dtype, format = dtype, dims, bytes }) => `${name}  ${format}[${dims.join(', ')}]  ${byteSize(bytes)}`,
        ),
      ),
      section(
        'tensors',
        manifest.tensors.map(
          ({ path: name, dims, format, layout, bytes }) => `${name}  ${format}/${layout} [${dims.join(', ')}]  ${byteSize(bytes)}`,
        ),
      ),
      section(
        'shards',
        manifest.shards.map(({ file, bytes }) => `${file}  ${byteSize(bytes)}`),
      ),
      `tokenizer: ${manifest.tokenizer?.file ?? 'none'}`,
    ].join('\n'),
  )
}

function variantText(variant: Manifest['variants'][number]): string {
  const title = [variant.target, ...variant.requires].join('+')
  if (variant.target !== 'wasm') return title
  const { arenaBytes, stateBytes, statesBase, dataBytes } = variant.memory
  const further = variant.threads ? `, ${byteSize(variant.threads.ownBytes)} per further thread` : ''
  return `${title}  tensors and program ${byteSize(statesBase)}, arena ${byteSize(arenaBytes)}, ${byteSize(stateBytes)} per session${further}, data ${byteSize(dataBytes)}`
}

async function inspectCheckpoint(path: string, { json }: Flags): Promise<void> {
  const { nodeFiles, openCheckpoint } = await import('../compiler/weights/index.ts')
  const { container, table, config, tensors, tokenizer, tokenizerProblem } = openCheckpoint(path, nodeFiles)
  const described = [...tensors.values()].map(({ name, format, dims, file }) => ({ name, format, dims, file }))
  const metadata = Object.fromEntries(Object.entries(config?.values ?? {}).map(([key, value]) => [key, shortened(value)]))
  const words = tokenizer && { kind: tokenizer.kind, size: tokenizer.pieces.length, bos: tokenizer.bos, eos: tokenizer.eos }
  if (json) {
    return printJson({
      kind: 'checkpoint',
      container,
      table,
      metadata,
      tensors: described,
      ...(words ? { tokenizer: words } : {}),
      ...(tokenizerProblem ? { tokenizer_problem: tokenizerProblem.message } : {}),
    })
  }
  const parameters = described.reduce((sum, { dims }) => sum + dims.reduce((all, dim) => all * dim, 1), 0)
  print(
    [
      `${container}${table.arch === undefined ? '' : ` (${printable(table.arch)})`}: ${described.length} tensors, ${parameters.toLocaleString('en-US')} values; names as in \`checkpoint ${table.format}\``,
      section(
        'metadata',
        Object.entries(metadata).map(([key, value]) => `${key} = ${JSON.stringify(value)}`),
      ),
      section(
        'tensors',
        described.map(({ name, format, dims }) => `${name}  ${format} [${dims.join(', ')}]`),
      ),
      `tokenizer: ${words ? `${words.kind}, ${words.size} pieces` : printable(tokenizerProblem?.message ?? 'none')}`,
    ].join('\n'),
  )
}

/** Names and values come from files: they may not break lines or steer the terminal. */
const section = (title: string, lines: readonly string[]): string =>
  [`${title}:${lines.length === 0 ? ' none' : ''}`, ...lines.map((line) => `  ${printable(line)}`)].join('\n')

/** Vocabularies are not for reading; 64-bit integers are no JSON. */
function shortened(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  const listed =
    ArrayBuffer.isView(value) && !(value instanceof DataView)
      ? (value as unknown as ArrayLike<unknown>)
      : Array.isArray(value)
        ? value
        : undefined
  if (!listed) return value
  const first = Array.from({ length: Math.min(listed.length, mostListed) }, (_, i) => shortened(listed[i]))
  return listed.length > mostListed ? { length: listed.length, first } : first
}
