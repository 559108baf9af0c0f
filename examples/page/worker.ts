// The worker of the page: opens models, lets them write, times their kernels. Everything that goes wrong becomes a report.

import { type Artifact, load, LlamacError, type Model, readArtifact } from '../../runtime/index.ts'
import type { CompiledFile } from './compile-file.ts'
import type { DeviceChoice, Failure, Report, Task } from './protocol.ts'

interface Opened {
  readonly model: Model
  readonly artifact: Artifact
  readonly device: DeviceChoice
  readonly compiled: CompiledFile | undefined
}

let opened: Opened | undefined
let running: Promise<void> = Promise.resolve()
let controller = new AbortController()

const tell = (report: Report): void => postMessage(report)

globalThis.onmessage = ({ data: task }: MessageEvent<Task>) => {
  controller.abort()
  if (task.kind === 'stop') return
  const own = new AbortController()
  controller = own
  running = running.then(() => perform(task, own.signal)).catch((cause) => tell({ kind: 'failed', errors: failuresOf(cause) }))
}

function perform(task: Exclude<Task, { kind: 'stop' }>, signal: AbortSignal): Promise<void> {
  switch (task.kind) {
    case 'open':
      return open(task, signal)
    case 'generate':
      return generate(task, signal)
    case 'time kernels':
      return time()
  }
}

async function open({ source, device, context }: Extract<Task, { kind: 'open' }>, signal: AbortSignal): Promise<void> {
  const started = performance.now()
  const before = opened
  opened = undefined
  await before?.model.dispose()
  const compiled = typeof source === 'string' ? undefined : await compileInPage(source, device, context)
  const artifact = compiled?.artifact ?? (await readArtifact(source as string, signal))
  const model = await load(artifact, {
    device,
    signal,
    onProgress: ({ type, loaded, total }) =>
      tell({
        kind: 'progress',
        text: `${type === 'weights' ? 'loading weights' : 'compiling for the GPU'}: ${Math.round((100 * loaded) / total)} %`,
      }),
  })
  opened = { model, artifact, device, compiled }
  tell({
    kind: 'opened',
    name: artifact.manifest.model,
    parameters: artifact.manifest.parameters,
    device: model.device,
    milliseconds: performance.now() - started,
  })
}

async function compileInPage(file: File, device: DeviceChoice, context: number | undefined): Promise<CompiledFile> {
  tell({ kind: 'progress', text: `compiling ${file.name}` })
  const { compileFile } = await import('./compile-file.ts')
  return compileFile(file, device, context)
}

async function generate(task: Extract<Task, { kind: 'generate' }>, signal: AbortSignal): Promise<void> {
  const { model } = expectOpened()
  const { prompt, maxTokens, temperature, seed } = task
  const started = performance.now()
  let first = started
  let tokens = 0
  let stop = 'stopped'
  using session = model.createSession({ seed })
  try {
    for await (const piece of session.generate(prompt, { maxTokens, temperature, signal })) {
      if (++tokens === 1) first = performance.now()
      tell({ kind: 'piece', text: piece.text })
      stop = piece.stop ?? stop
    }
  } catch (cause) {
    if (!(cause instanceof LlamacError && cause.code === 'E_ABORTED')) throw cause
  }
  const seconds = (performance.now() - first) / 1000
  tell({
    kind: 'generated',
    tokens,
    stop,
    firstMs: first - started,
    tokensPerSecond: tokens > 1 && seconds > 0 ? (tokens - 1) / seconds : 0,
  })
}

async function time(): Promise<void> {
  const { artifact, device, compiled } = expectOpened()
  tell({ kind: 'progress', text: 'timing kernels' })
  const { timeKernels } = await import('./time-kernels.ts')
  tell({ kind: 'times', ...(await timeKernels(artifact, device, compiled?.result)) })
}

function expectOpened(): Opened {
  if (!opened) throw new LlamacError('E_DISPOSED', 'no model is open: choose one')
  return opened
}

function failuresOf(cause: unknown): Failure[] {
  const { diagnostics, code, message } = cause as Error & {
    readonly code?: string
    readonly diagnostics?: readonly (Failure & { readonly severity: string })[]
  }
  const errors = diagnostics?.filter(({ severity }) => severity === 'error')
  return errors?.length
    ? errors.map(({ code, message, notes, help }) => ({ code, message, notes, help }) as Failure)
    : [{ message, notes: [], ...(code === undefined ? {} : { code }) }]
}
