// `llamac fmt`: source files in the one layout that the language has, written in place. Like gofmt it keeps the author's line breaks.

import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import { readSource, replaceSource } from './model-files.ts'
import { BadNews, print, Rejected, showDiagnostics } from './report.ts'

interface Flags {
  readonly check?: boolean
}

export function addFmt(program: Command): void {
  program
    .command('fmt')
    .argument('<files...>', '.dsl files; - reads stdin and writes to stdout')
    .description('lays source files out; names those that it changed')
    .option('--check', 'changes nothing; exit code 1 if a file is laid out differently')
    .action(formatFiles)
}

async function formatFiles(files: readonly string[], { check = false }: Flags): Promise<void> {
  let changed = 0
  for (const file of files) {
    const before = file === '-' ? await text(process.stdin) : readSource(file)
    const after = await laidOut(file === '-' ? '<stdin>' : file, before)
    if (after !== before) changed++
    if (file === '-' && !check) process.stdout.write(after)
    else if (after !== before) {
      if (!check) replaceSource(file, after)
      print(file)
    }
  }
  if (check && changed > 0) throw new BadNews()
}

/** Errors: Rejected, for a text that cannot be parsed. */
async function laidOut(path: string, text: string): Promise<string> {
  const [{ parse }, { format }] = await Promise.all([import('../dsl/parse.ts'), import('../dsl/format.ts')])
  const source = { path, text }
  const { tree, diagnostics } = parse(source)
  if (!tree) throw new Rejected(diagnostics)
  await showDiagnostics(diagnostics)
  return format(tree, source)
}
