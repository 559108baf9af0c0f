// A second implementation of WebGPU: wgpu and naga, as Deno has them, on the same software driver. The objects live in a process of
// Deno; here are stand-ins that send every call there, so that the tests and the runtime use them like any other GPU. WebGPU's calls
// give their objects at once and report errors later, so nothing has to wait but what gives a promise.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'
import { driverFolder } from '../../../cli/software-driver.ts'
import { createNullGpu } from '../dawn.ts'
import { encodeFrame, readFrames, type Reference } from './frames.ts'
import type { GpuAnswer, GpuCall } from './host.ts'

const project = fileURLToPath(new URL('../../../', import.meta.url))
const executable = join(project, 'node_modules/@deno/linux-x64-glibc/deno')

/** Calls that give promises. */
const awaited: ReadonlySet<string> = new Set([
  'requestAdapter',
  'requestDevice',
  'createComputePipelineAsync',
  'getCompilationInfo',
  'mapAsync',
  'onSubmittedWorkDone',
  'popErrorScope',
])

// biome-ignore lint/suspicious/noExplicitAny: stand-ins have whatever the platform's objects have
type Members = Record<string, any>

class Connection {
  readonly #child: ChildProcess
  readonly #references = new WeakMap<object, Reference>()
  readonly #waiting = new Map<number, { readonly take: (value: unknown) => void; readonly fail: (cause: Error) => void }>()
  readonly #devices = new Map<number, { readonly members: Members; readonly lose: (info: unknown) => void }>()
  #count = 0
  #broken: Error | undefined

  constructor(child: ChildProcess) {
    this.#child = child
    readFrames(child.stdout!, (message) => this.#hear(message as GpuAnswer))
    child.stderr!.on('data', (text: Buffer) => process.stderr.write(text))
    child.on('exit', (code) => this.#break(new Error(`Deno ended with ${code}`)))
    child.stdin!.on('error', () => {})
  }

  /** A stand-in for an object there, with members of its own. */
  standIn(reference: Reference, members: Members = {}): object {
    const made = new Proxy(members, {
      // How a GPU is told from a device.
      // Which of the three it is: of the others an adapter alone has `info`.
      has: (own, name) => name in own || (reference.$object === 0 ? name === 'requestAdapter' : name === 'requestDevice' && 'info' in own),
      get: (own, name) => {
        if (name in own || typeof name === 'symbol' || name === 'then') return own[name as string]
        return (...args: readonly unknown[]) => this.#call(made, own, name, args)
      },
    })
    this.#references.set(made, reference)
    return made
  }

  #call(on: object, own: Members, method: string, args: readonly unknown[]): unknown {
    if (this.#broken) throw this.#broken
    const id = ++this.#count
    const call: GpuCall = { id, on, method, args: method === 'writeBuffer' ? exactBytes(args) : args, awaited: awaited.has(method) }
    this.#child.stdin!.cork()
    this.#child.stdin!.write(encodeFrame(call, (value) => this.#references.get(value)))
    process.nextTick(() => this.#child.stdin!.uncork())
    const { label = '', size, usage } = (args[0] ?? {}) as Members
    if (!call.awaited) return this.standIn({ $object: id }, { label, ...(method === 'createBuffer' ? bufferMembers(size, usage) : {}) })
    const answer = new Promise<unknown>((take, fail) => this.#waiting.set(id, { take, fail }))
    if (method === 'mapAsync') return answer.then((bytes) => void (own['mapped'] = { bytes, from: args[1] ?? 0 }))
    if (method === 'requestAdapter') return answer.then((said) => said && this.standIn({ $object: id }, withFeatures(said as Members)))
    if (method === 'requestDevice') return answer.then((said) => this.#device(id, said as Members))
    return method === 'createComputePipelineAsync' ? answer.then(() => this.standIn({ $object: id }, { label })) : answer
  }

  #device(id: number, said: Members): object {
    let lose = (_: unknown): void => {}
    const lost = new Promise((resolve) => (lose = resolve))
    const members: Members = {
      ...withFeatures(said),
      lost,
      onuncapturederror: null,
      queue: this.standIn({ $object: id, property: 'queue' }),
    }
    this.#devices.set(id, { members, lose })
    return this.standIn({ $object: id }, members)
  }

  #hear(answer: GpuAnswer): void {
    if ('fault' in answer) this.#break(new Error(`wgpu: ${answer.fault}`))
    else if ('lost' in answer) this.#devices.get(answer.device)?.lose(answer.lost)
    else if ('uncaptured' in answer)
      this.#devices.get(answer.device)?.members['onuncapturederror']?.({ error: { message: answer.uncaptured } })
    else {
      const waiting = this.#waiting.get(answer.id)!
      this.#waiting.delete(answer.id)
      if ('error' in answer) waiting.fail(new Error(answer.error))
      else waiting.take(answer.value)
    }
  }

  #break(cause: Error): void {
    this.#broken ??= cause
    for (const { fail } of this.#waiting.values()) fail(cause)
    this.#waiting.clear()
  }
}

/** What writeBuffer is to write, and nothing around it. */
function exactBytes([buffer, at, data, from = 0, size]: readonly unknown[]): readonly unknown[] {
  const view = data as ArrayBufferView & { readonly BYTES_PER_ELEMENT?: number }
  const [base, start, length] = ArrayBuffer.isView(data)
    ? [view.buffer, view.byteOffset, view.byteLength]
    : [data as ArrayBuffer, 0, (data as ArrayBuffer).byteLength]
  const unit = view.BYTES_PER_ELEMENT ?? 1
  const skipped = Number(from) * unit
  return [buffer, at, new Uint8Array(base, start + skipped, size === undefined ? length - skipped : Number(size) * unit)]
}

const withFeatures = (said: Members): Members => ({ ...said, features: new Set(said['features'] as string[]) })

function bufferMembers(size: number, usage: number): Members {
  return {
    size,
    usage,
    getMappedRange(this: Members, offset = 0, length?: number): ArrayBuffer {
      const { bytes, from } = this['mapped'] as { bytes: Uint8Array<ArrayBuffer>; from: number }
      return bytes.buffer.slice(offset - from, length === undefined ? undefined : offset - from + length)
    },
  }
}

let opened: Promise<{ readonly gpu: GPU; close(): void }> | undefined

/** Deno with a script of this folder, on the software driver. */
export async function startDeno(script: string, ...args: readonly string[]): Promise<ChildProcess> {
  if (!existsSync(executable)) throw new Error(`there is no ${executable}: npm ci brings it, on linux with glibc`)
  const folder = await driverFolder('swiftshader')
  return spawn(executable, ['run', '-A', '--no-config', '--no-lock', fileURLToPath(new URL(script, import.meta.url)), ...args], {
    stdio: 'pipe',
    env: { ...process.env, LD_LIBRARY_PATH: folder, VK_ICD_FILENAMES: join(folder, 'vk_swiftshader_icd.json'), NO_COLOR: '1' },
  })
}

async function open(): Promise<{ readonly gpu: GPU; close(): void }> {
  // WebGPU's constants, as globals.
  await createNullGpu()
  const child = await startDeno('./host.ts')
  const gpu = new Connection(child).standIn({ $object: 0 }) as GPU
  const { description } = (await gpu.requestAdapter())!.info
  if (!description.includes('SwiftShader')) throw new Error(`expected the SwiftShader adapter, found '${description}'`)
  return { gpu, close: () => child.kill() }
}

/** wgpu on SwiftShader; one process for a test file, until its end. Rejects when the adapter is any other. */
export async function createWgpu(): Promise<GPU> {
  opened ??= open()
  return (await opened).gpu
}

afterAll(async () => {
  const { close } = (await opened?.catch(() => undefined)) ?? {}
  opened = undefined
  close?.()
})
