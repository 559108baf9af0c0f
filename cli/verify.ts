// `llamac verify`: a device against the reference, on calls with made-up arguments: whoever doubts a driver, a browser or a build
// learns which entry gives wrong numbers and which kernel is the first to. Here only its flags; verify/verify-model.ts does it.

import { type Command, Option } from 'commander'
import { addCompileFlags, addDevice, whole } from './flags.ts'
import type { OpenFlags } from './open-model.ts'
import { interruptible } from './report.ts'

export interface VerifyFlags extends OpenFlags {
  readonly bisect?: boolean
  readonly length: number
  readonly seed: number
  readonly json?: boolean
}

export function addVerify(program: Command): void {
  const command = program
    .command('verify')
    .argument('<artifact|file>', 'an artifact folder, or a .dsl with --weights or --seed-weights')
    .description('a device against the reference, down to the first kernel that differs')
    .option('--bisect', 'examine every kernel even where the results agree')
    .addOption(new Option('--length <n>', 'tokens of a long call').argParser(whole(2)).default(7))
    .addOption(new Option('--seed <n>', 'of the made-up arguments').argParser(whole(0)).default(1))
    .option('--json', 'one JSON document')
  addCompileFlags(addDevice(command)).action(async (path: string, flags: VerifyFlags) => {
    const { verify } = await import('./verify/verify-model.ts')
    await interruptible((signal) => verify(path, flags, signal))
  })
}
