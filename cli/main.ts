#!/usr/bin/env node
// The command `llamac` as a process: code that was compiled before comes from Node's compile cache, which must be on before the rest
// is loaded; and how a run ends.

import module from 'node:module'

// Absent in a Node that is too old, which commands.ts says.
;(module as Partial<typeof module>).enableCompileCache?.()
const { main, exitCodes } = await import('./commands.ts')

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? exitCodes.fine : exitCodes.failure))
const code = await main(process.argv.slice(2))
// GPU threads would keep the process alive; what was written must be out first.
process.stdout.write('', () => process.exit(code))
