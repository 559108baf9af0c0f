// What the command line says besides results: notes, diagnostics and errors, all on stderr, and the exit code that goes with
// them. 0 fine, 1 diagnostics or failure, 2 wrong usage, 130 interrupted.

import type { Diagnostic } from '../dsl/diagnostics.ts'
import { LlamacError } from '../runtime/error.ts'
import { printable } from '../dsl/text-width.ts'
import type { CliCode } from './error-codes.ts'

/** Diagnostics of a model that keep a command from going on. */
export class Rejected extends Error {
  readonly diagnostics: readonly Diagnostic[]

  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map(({ message }) => message).join('; '))
    this.diagnostics = diagnostics
  }
}

/** What a command was asked to find out is bad news: it has been said on stdout, and only the exit code is left to say it. */
export class BadNews extends Error {}

/** The command line itself is wrong. */
export class UsageError extends Error {}

export const version = '0.1.0'

export const exitCodes = { fine: 0, failure: 1, usage: 2, interrupted: 130 } as const

export const note = (text: string): void => void process.stderr.write(`${text}\n`)

/** Ends the result with a line break. */
export const print = (text: string): void => void process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)

/** JSON leaves C1 controls and direction marks as they are; names from files must not steer a terminal. */
export const printJson = (value: unknown): void =>
  print(
    JSON.stringify(value).replace(
      /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
      (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
    ),
  )

/** Text from files or from a model as a terminal may show it: line breaks stay, other controls do not. */
export const plainText = (text: string): string => text.split('\n').map(printable).join('\n')

/** FORCE_COLOR and NO_COLOR (https://no-color.org) win over the terminal. */
export function wantsColour(stream: { readonly isTTY?: boolean } = process.stderr): boolean {
  const { NO_COLOR, FORCE_COLOR } = process.env
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '') return FORCE_COLOR !== '0'
  return (NO_COLOR === undefined || NO_COLOR === '') && stream.isTTY === true
}

export async function showDiagnostics(diagnostics: readonly Diagnostic[]): Promise<void> {
  if (diagnostics.length === 0) return
  const { renderAll } = await import('../dsl/render.ts')
  note(renderAll(diagnostics, { colour: wantsColour() }))
}

/** Says what went wrong and gives the exit code. Stacks only with LLAMAC_DEBUG=1. */
export async function reportError(error: unknown): Promise<number> {
  const code = await describe(error)
  if (process.env['LLAMAC_DEBUG'] === '1' && error instanceof Error && error.stack) note(error.stack)
  return code
}

async function describe(error: unknown): Promise<number> {
  if (error instanceof Rejected) {
    await showDiagnostics(error.diagnostics)
    return exitCodes.failure
  }
  if (error instanceof BadNews) return exitCodes.failure
  if (error instanceof UsageError) {
    note(`error: ${plainText(error.message)}`)
    return exitCodes.usage
  }
  if (error instanceof LlamacError) {
    if (error.code === 'E_ABORTED') return exitCodes.interrupted
    note(`error[${error.code}]: ${plainText(error.message)}`)
    return exitCodes.failure
  }
  const message = error instanceof Error ? error.message : String(error)
  const line = plainText(message.replace(/^internal: /, '').replaceAll(/\s*\n\s*/g, ' '))
  if (error instanceof Error && 'syscall' in error) {
    note(`error[${'E_FILE' satisfies CliCode}]: ${line}`)
    return exitCodes.failure
  }
  note(
    `error[${'E_INTERNAL' satisfies CliCode}]: ${line}\n   = this is a fault of llamac, not yours: please report it with the command and its files (LLAMAC_DEBUG=1 shows where it happened)`,
  )
  return exitCodes.failure
}

/** A signal that the first Ctrl-C aborts, for the time of `work`; the second one ends the process. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const stop = (): void => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted)
    controller.abort()
  }
  process.on('SIGINT', stop)
  try {
    return await work(controller.signal)
  } finally {
    process.off('SIGINT', stop)
  }
}
