// The command line: one file per command; here only how they come together. Commands import the compiler when they need it, so
// that running an artifact does not load it.

import { Command, CommanderError } from 'commander'
import { addBench } from './bench.ts'
import { addCall } from './call.ts'
import { addCheck } from './check.ts'
import { addCompile } from './compile.ts'
import { addDiff } from './diff.ts'
import { addEstimate } from './estimate.ts'
import { addEval } from './eval.ts'
import { addExpand } from './expand.ts'
import { addExplain } from './explain.ts'
import { addFmt } from './fmt.ts'
import { addInspect } from './inspect.ts'
import { addLogits } from './logits.ts'
import { requireNode } from './node-version.ts'
import { exitCodes, reportError, version } from './report.ts'
import { addRun } from './run.ts'
import { addTrainTokenizer } from './train-tokenizer.ts'
import { addVerify } from './verify.ts'

export { exitCodes }

const commands = [
  addCompile,
  addRun,
  addLogits,
  addCall,
  addVerify,
  addBench,
  addEstimate,
  addEval,
  addCheck,
  addFmt,
  addExpand,
  addDiff,
  addExplain,
  addInspect,
  addTrainTokenizer,
]

/** Runs a command line; gives the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const program = new Command('llamac')
    .description('A compiler and runtime for language models described by a page of text')
    .version(version)
    .showSuggestionAfterError()
    .showHelpAfterError('(--help shows the flags)')
    .exitOverride()
  for (const add of commands) add(program)
  // Commands are made before they inherit settings, so each is told.
  for (const command of program.commands) command.copyInheritedSettings(program)
  try {
    requireNode(process.versions.node)
    await program.parseAsync(argv, { from: 'user' })
    return exitCodes.fine
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.fine : exitCodes.usage
    return reportError(error)
  }
}
