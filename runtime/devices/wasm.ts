// Runs a WASM program: one memory that holds tensors, arena and the sessions' state blocks, one call per entry. The memory
// grows by whole state blocks; blocks of disposed sessions are zeroed and used again. In steady state a call allocates nothing
// but the arrays of its results. With threads, the memory is shared and a team (wasm-team.ts) runs each call.
import type { Artifact, LoadOptions } from '../artifact/read.ts'
import { elementCount } from '../artifact/affine.ts'
import { addressUnit, type EntryManifest, isWide, type WasmVariant } from '../artifact/manifest.ts'
import { together } from '../abort.ts'
import { checkAborted, fail } from '../error-codes.ts'
import { type ArgumentArray, asResult, type Device, type Drawn, type DrawOptions, type ResultArray, type States } from './device.ts'
import { type Soon, whenThere } from '../soon.ts'
import type { RelaxedSimd } from './relaxed-simd.ts'
import { alignBlock, samplerBytes, scoresOf, WasmSampler, weighProgram } from './wasm-sampler.ts'
import { mayBlock, Team, type TeamProgram } from './wasm-team.ts'

const pageBytes = 65536
/** With 32-bit addresses, and with 64-bit ones ('memory64'). */
const maxPages = { narrow: 65536, wide: 262144 } as const

export interface WasmOptions extends LoadOptions {
  /** How many threads run a call together; default 1. */
  readonly threads?: number
  /** For tests: keep this thread out of the team, as on a browser's main thread. */
  readonly takesPart?: boolean
  /** For tests: give every call to all threads, whatever calls before have taught. */
  readonly always?: boolean
}

/** Why a variant cannot run here with so many threads, or undefined when it can. `simd`: what relaxedSimd() has found. */
export function wasmUnmet(variant: WasmVariant, simd: RelaxedSimd, threads = 1): string | undefined {
  if (typeof WebAssembly === 'undefined') return 'there is no WebAssembly'
  for (const feature of variant.requires) {
    if (feature === 'relaxed-simd') {
      if (!simd.works) return 'relaxed SIMD is missing or computes wrong numbers'
    } else if (feature === 'pair-dots') {
      if (!simd.pairDots) return 'the engine has an instruction for the 32-bit dot of bytes'
    } else if (feature === 'threads') {
      if (threads === 1) return 'one thread runs alone'
      if (!memoryIsShareable())
        return 'memory cannot be shared between threads (serve the page with COOP same-origin and COEP require-corp)'
    } else if (feature === 'memory64') {
      if (!hasWideMemory()) return 'memories beyond 4 GiB are missing (memory64)'
    } else return `the runtime does not offer ${feature}`
  }
  return undefined
}

const memoryIsShareable = (): boolean =>
  typeof SharedArrayBuffer === 'function' && (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated !== false

type Program = (...args: number[]) => void

class WasmStates implements States {
  readonly base: number
  readonly #release: (base: number) => void
  #live = true

  constructor(base: number, release: (base: number) => void) {
    this.base = base
    this.#release = release
  }

  get live(): boolean {
    return this.#live
  }

  dispose(): void {
    if (!this.#live) return
    this.#live = false
    this.#release(this.base)
  }
}

/**
 * Compiles the program and starts the team while the weights come, and gives the device. E_CSP, E_OUT_OF_MEMORY, E_DEVICE (also when
 * workers cannot be started), and what Artifact.loadTensors raises.
 */
export async function createWasmDevice(artifact: Artifact, variant: WasmVariant, options: WasmOptions = {}): Promise<Device> {
  const { memory: layout, threads: shared } = variant
  const threads = shared ? (options.threads ?? 1) : 1
  const { entries } = artifact.manifest
  // The first thread's own memory is part of the arena; that of the others lies before the first session, and so does what draws need.
  const stride = shared ? alignBlock(shared.ownBytes) : 0
  const drawsBase = layout.statesBase + (threads - 1) * stride
  const sessionsBase = drawsBase + samplerBytes(entries)
  artifact.needWeights()
  const memory = createMemory(sessionsBase, shared !== undefined, isWide(variant))
  const start = async (signal: AbortSignal): Promise<Started> => {
    const module = await compile(await artifact.program(variant, signal))
    checkAborted(signal)
    const instance = await WebAssembly.instantiate(module, { env: { memory } }).catch((cause: unknown) =>
      fail('E_DEVICE', `the WASM program does not fit this runtime: ${(cause as Error).message}`, cause),
    )
    const own = { from: layout.statesBase, stride }
    const draws = WasmSampler.fits(instance.exports)
    const programs = [...entries.map((entry) => teamProgram(entry, variant)), ...(draws ? [weighProgram] : [])]
    const team =
      shared &&
      (await Team.start(module, instance, memory, variant, programs, own, {
        threads,
        takesPart: options.takesPart ?? mayBlock(),
        always: options.always,
        signal,
      }))
    const scratch = { at: drawsBase, unit: addressUnit(variant) }
    const sampler = draws ? new WasmSampler(instance.exports, memory, scratch, team, entries.length) : undefined
    return { instance, team, sampler }
  }
  const weights = (signal: AbortSignal): Promise<void> =>
    artifact.loadTensors({ buffer: memory.buffer, places: layout.tensors }, { ...options, signal })
  // The program first: it may be built elsewhere meanwhile. Where workers are forbidden, little is downloaded in vain.
  const [started] = await together(options.signal, start, weights, (made) => made.first?.team?.close())
  return new WasmDevice(memory, started, variant, entries, sessionsBase)
}

interface Started {
  readonly instance: WebAssembly.Instance
  readonly team: Team | undefined
  /** Programs of before have none. */
  readonly sampler: WasmSampler | undefined
}

function teamProgram({ name, symbols }: EntryManifest, variant: WasmVariant): TeamProgram {
  const entry = variant.entries[name]!
  const isSize = (symbol: string): boolean => symbols.find((one) => one.name === symbol)?.kind === 'size'
  return {
    export: entry.export,
    symbols: entry.symbols.length,
    sizes: entry.symbols.flatMap((symbol, at) => (isSize(symbol) ? [at] : [])),
  }
}

/** What a call of an entry needs, looked up once. */
interface Callable {
  readonly manifest: EntryManifest
  readonly program: Program
  readonly number: number
  /** Of the arguments and results: where in the memory, in words. */
  readonly arguments: readonly (readonly [name: string, word: number])[]
  readonly results: readonly number[]
  /** Names, and room for their values. */
  readonly symbols: readonly string[]
  readonly values: number[]
}

class WasmDevice implements Device {
  readonly name: string
  readonly #memory: WebAssembly.Memory
  readonly #team: Team | undefined
  readonly #entries = new Map<string, Callable>()
  readonly #blockBytes: number
  readonly #wide: boolean
  /** Bytes that an address counts where the module is called. */
  readonly #unit: number
  readonly #sampler: WasmSampler | undefined
  readonly #free: number[] = []
  #end: number
  #disposed = false
  // Views of the memory; a grow replaces its buffer, so they are made again when it changed.
  #f32 = new Float32Array(0)
  #i32 = new Int32Array(0)

  constructor(
    memory: WebAssembly.Memory,
    { instance, team, sampler }: Started,
    variant: WasmVariant,
    entries: readonly EntryManifest[],
    sessionsBase: number,
  ) {
    this.name = team ? `wasm, ${team.threads} threads` : 'wasm'
    this.#memory = memory
    this.#team = team
    this.#end = sessionsBase
    this.#blockBytes = alignBlock(variant.memory.stateBytes)
    this.#wide = isWide(variant)
    this.#unit = addressUnit(variant)
    this.#sampler = sampler
    for (const [number, manifest] of entries.entries()) {
      const { export: name, symbols, arguments: places, results } = variant.entries[manifest.name]!
      const program = instance.exports[name]
      if (typeof program !== 'function') fail('E_DEVICE', `the WASM program has no export ${name}`)
      this.#entries.set(manifest.name, {
        manifest,
        program: program as Program,
        number,
        arguments: Object.entries(places).map(([name, address]) => [name, address / 4]),
        results: results.map((address) => address / 4),
        symbols,
        values: new Array<number>(symbols.length).fill(0),
      })
    }
  }

  createStates(): States {
    this.#checkLive()
    const reused = this.#free.pop()
    const base = reused ?? this.#allocate()
    if (reused !== undefined) new Uint8Array(this.#memory.buffer, base, this.#blockBytes).fill(0)
    return new WasmStates(base, (freed) => this.#release(freed))
  }

  copyStates(from: States): States {
    this.#checkLive()
    const source = live(from)
    const base = this.#free.pop() ?? this.#allocate()
    new Uint8Array(this.#memory.buffer).copyWithin(base, source.base, source.base + this.#blockBytes)
    return new WasmStates(base, (freed) => this.#release(freed))
  }

  async run(
    entry: string,
    symbols: Readonly<Record<string, number>>,
    inputs: Readonly<Record<string, ArgumentArray>>,
    states: States,
    into?: readonly ResultArray[],
  ): Promise<ResultArray[]> {
    const called = this.#callable(entry)
    await this.#call(called, symbols, inputs, states)
    return called.manifest.results.map(({ dtype, dims }, index) => {
      const at = called.results[index]!
      const count = elementCount(dims, symbols)
      const again = into?.[index]
      if (again?.length !== count || again.BYTES_PER_ELEMENT !== 4) return asResult(dtype, this.#i32.slice(at, at + count))
      const words = new Int32Array(again.buffer as ArrayBuffer, again.byteOffset, count)
      words.set(this.#i32.subarray(at, at + count))
      return asResult(dtype, words)
    })
  }

  /** Of one list of scores: so that a vocabulary of numbers need not leave the module. */
  canDraw(entry: string): boolean {
    const called = this.#entries.get(entry)
    return this.#sampler !== undefined && called !== undefined && scoresOf(called.manifest) !== undefined
  }

  draw(
    entry: string,
    symbols: Readonly<Record<string, number>>,
    inputs: Readonly<Record<string, ArgumentArray>> | undefined,
    states: States,
    how: DrawOptions,
    seen?: readonly number[],
  ): Soon<Drawn> {
    if (!inputs) throw new Error('internal: a token is read before it is known')
    const called = this.#callable(entry)
    const read = this.#call(called, symbols, inputs, states)
    return whenThere(read, () => {
      const token = this.#sampler!.draw(called.results[0]! * 4, scoresOf(called.manifest)!, how, seen)
      return whenThere(token, (token) => ({ token }))
    })
  }

  /** Runs an entry; its results lie in the memory until the next call. */
  #call(
    called: Callable,
    symbols: Readonly<Record<string, number>>,
    inputs: Readonly<Record<string, ArgumentArray>>,
    states: States,
  ): Soon<void> {
    const { base } = live(states)
    const { manifest, program, values } = called
    this.#refreshViews()
    for (const [name, word] of called.arguments) {
      const given = inputs[name]
      if (!given) throw new Error(`internal: no value for the argument ${name}`)
      if (given.length === 1 && given instanceof Int32Array) this.#i32[word] = given[0]!
      else if (given instanceof Float32Array) this.#f32.set(given, word)
      else this.#i32.set(given, word)
    }
    for (let i = 0; i < values.length; i++) values[i] = symbols[called.symbols[i]!]!
    // Modules with 64-bit addresses take blocks (compiler/targets/wasm/address-type.ts).
    const passed = base / this.#unit
    if (this.#team) return this.#team.run(called.number, manifest.name, passed, values)
    try {
      program(passed, ...values)
    } catch (cause) {
      fail('E_DEVICE', `the WASM program stopped in ${manifest.name}: ${(cause as Error).message}`, cause)
    }
  }

  #callable(entry: string): Callable {
    this.#checkLive()
    return this.#entries.get(entry) ?? fail('E_ENTRY', `the model has no entry ${entry}`)
  }

  dispose(): void {
    this.#disposed = true
    this.#team?.close()
    this.#entries.clear()
    this.#free.length = 0
  }

  #checkLive(): void {
    if (this.#disposed) fail('E_DISPOSED', 'the device was disposed')
  }

  #release(base: number): void {
    if (!this.#disposed) this.#free.push(base)
  }

  #allocate(): number {
    const base = this.#end
    const end = base + this.#blockBytes
    const missing = Math.ceil((end - this.#memory.buffer.byteLength) / pageBytes)
    if (missing > 0) {
      try {
        // A memory with 64-bit addresses counts its pages so too.
        this.#memory.grow((this.#wide ? BigInt(missing) : missing) as number)
      } catch (cause) {
        fail('E_OUT_OF_MEMORY', `no memory for another session (${this.#blockBytes} bytes): dispose of one first`, cause)
      }
    }
    this.#end = end
    return base
  }

  #refreshViews(): void {
    const { buffer } = this.#memory
    if (this.#f32.buffer === buffer) return
    this.#f32 = new Float32Array(buffer)
    this.#i32 = new Int32Array(buffer)
  }
}

function live(states: States): WasmStates {
  if (!(states instanceof WasmStates)) throw new Error('internal: states of another device')
  if (!states.live) fail('E_DISPOSED', 'the session was disposed')
  return states
}

/** E_OUT_OF_MEMORY. */
export function createMemory(bytes: number, shared: boolean, wide: boolean): WebAssembly.Memory {
  const pages = Math.ceil(bytes / pageBytes)
  try {
    return wide ? wideMemory(pages, shared) : new WebAssembly.Memory({ initial: pages, maximum: maxPages.narrow, shared })
  } catch (cause) {
    fail('E_OUT_OF_MEMORY', `no memory for the model: it needs ${bytes} bytes`, cause)
  }
}

/** TypeScript's library does not know 64-bit memories yet. */
const wideMemory = (pages: number, shared: boolean): WebAssembly.Memory =>
  new WebAssembly.Memory({
    address: 'i64',
    initial: BigInt(pages),
    maximum: BigInt(maxPages.wide),
    shared,
  } as unknown as WebAssembly.MemoryDescriptor)

/** An engine without them takes no numbers of 64 bits, or ignores `address`. */
function hasWideMemory(): boolean {
  try {
    return (wideMemory(0, false).grow(0n as unknown as number) as unknown) === 0n
  } catch {
    return false
  }
}

async function compile(code: Uint8Array<ArrayBuffer>): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(code)
  } catch (cause) {
    const { message } = cause as Error
    if (/content.security.policy|unsafe-eval/i.test(message)) {
      fail('E_CSP', "the page forbids WebAssembly: add 'wasm-unsafe-eval' to script-src of its Content-Security-Policy", cause)
    }
    fail('E_DEVICE', `this engine refuses the WASM program: ${message}`, cause)
  }
}
