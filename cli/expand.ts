// `llamac expand`: a model that inherits, as one file that does not.

import { writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { plainText, print } from './report.ts'

interface Flags {
  readonly output?: string
}

export function addExpand(program: Command): void {
  program
    .command('expand')
    .argument('<file>', '.dsl file')
    .description('a model with all that it inherits, replaces and imports, as one file')
    .option('-o, --output <file>', 'instead of stdout')
    .action(expandFile)
}

async function expandFile(file: string, { output }: Flags): Promise<void> {
  const { expandModelFile } = await import('./project.ts')
  const text = await expandModelFile(file)
  if (output === undefined) print(process.stdout.isTTY ? plainText(text) : text)
  else writeFileSync(output, text)
}
