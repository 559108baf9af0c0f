// Other programs, timed in the same rounds: a shell command each. What counts is the last line of its stdout that is a JSON
// object with `prefill` or `decode` in tokens per second; without one, the command's wall time. The environment tells what to
// measure: LLAMAC_PREFILL tokens of a prompt, LLAMAC_DECODE tokens after it, LLAMAC_THREADS.

import { spawn } from 'node:child_process'
import { LlamacError } from '../../runtime/error.ts'

export interface Peer {
  readonly name: string
  readonly command: string
}

/** Tokens per second as the peer says, or the seconds that it took. */
export type PeerFigures = Readonly<Partial<Record<'prefill' | 'decode' | 'seconds', number>>>

/** What a peer is asked to measure. */
export interface PeerTask {
  readonly prefill: number
  readonly decode: number
  readonly threads: number
}

/** Runs the command once. E_PEER when it cannot be run or fails; E_ABORTED. */
export function runPeer({ name, command }: Peer, task: PeerTask, signal: AbortSignal): Promise<PeerFigures> {
  return new Promise((resolve, reject) => {
    const started = performance.now()
    const told = Object.fromEntries(Object.entries(task).map(([what, count]) => [`LLAMAC_${what.toUpperCase()}`, String(count)]))
    const child = spawn(command, { shell: true, stdio: ['ignore', 'pipe', 'pipe'], signal, env: { ...process.env, ...told } })
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.on('error', (cause) =>
      reject(
        signal.aborted
          ? new LlamacError('E_ABORTED', 'the benchmark was aborted')
          : new LlamacError('E_PEER', `${name} cannot be run: ${cause.message}`, { cause }),
      ),
    )
    child.on('close', (code) => {
      const seconds = (performance.now() - started) / 1000
      if (code === 0) return resolve(figuresIn(stdout) ?? { seconds })
      const last = stderr.trim().split('\n').at(-1)
      reject(new LlamacError('E_PEER', `${name} ended with exit code ${code}${last ? `: ${last}` : ''}`))
    })
  })
}

/** What the output says of itself. */
export function figuresIn(stdout: string): PeerFigures | undefined {
  for (const line of stdout.trim().split('\n').reverse()) {
    if (!line.trim().startsWith('{')) continue
    try {
      const { prefill, decode } = JSON.parse(line) as Record<string, unknown>
      const found = { ...(isRate(prefill) ? { prefill } : {}), ...(isRate(decode) ? { decode } : {}) }
      if (Object.keys(found).length > 0) return found
    } catch {
      // A line that only looks like JSON.
    }
  }
  return undefined
}

const isRate = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value > 0
