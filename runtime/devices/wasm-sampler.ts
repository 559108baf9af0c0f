// Draws where a WASM program has left its scores: what goes over the whole vocabulary is the module's (wasm-sampler.ts of the artifact), the
// rest is what any sampler does (runtime/candidates.ts), so that the tokens are the same. Scores are weighed in place: nobody else wants them.
// What is needed besides lies in memory that the device reserves for it; a draw allocates nothing.
import type { EntryManifest } from '../artifact/manifest.ts'
import { wasmSampler, weighSymbols } from '../artifact/wasm-sampler.ts'
import { Candidates } from '../candidates.ts'
import { uniform } from '../philox.ts'
import { penalise } from '../sampling.ts'
import { type Soon, whenThere } from '../soon.ts'
import { type Floats, floatsAt, partsOf, rateOf, type Weighed } from '../weighing.ts'
import type { DrawOptions } from './device.ts'
import type { Team, TeamProgram } from './wasm-team.ts'

/** How many scores an entry gives for one token; undefined where its first result is something else. */
export function scoresOf({ results: [scores] }: EntryManifest): number | undefined {
  if (scores?.dtype !== 'f32' || scores.dims.length !== 1) return undefined
  const [ids] = scores.dims
  return ids!.terms.length === 0 ? ids!.const : undefined
}

interface Place {
  readonly at: number
  /** Bytes that an address counts where the module is called. */
  readonly unit: number
}

interface Exports {
  readonly [wasmSampler.firstMaximum]: (scores: number, count: number) => number
  readonly [wasmSampler.weigh]: (scratch: number, scores: number, maxima: number, count: number, top: number, rate: number) => void
  readonly [wasmSampler.collect]: (scratch: number, weights: number, maxima: number, ids: number, count: number, least: number) => void
}

/** Blocks of memory that the runtime lays out begin at whole units of a wide module's addresses (`addressUnit`). */
export const alignBlock = (bytes: number): number => Math.ceil(bytes / 256) * 256

/** Offsets in the scratch memory of draws from so many scores. */
function layout(count: number): { readonly maxima: number; readonly ids: number; readonly bytes: number } {
  const parts = alignBlock(partsOf(count) * 4)
  return { maxima: parts, ids: 2 * parts, bytes: alignBlock(2 * parts + (count + 2) * 4) }
}

/** Bytes of scratch memory for draws after any entry. */
export const samplerBytes = (entries: readonly EntryManifest[]): number =>
  layout(Math.max(0, ...entries.map((e) => scoresOf(e) ?? 0))).bytes

/** What a team runs besides entries. */
export const weighProgram: TeamProgram = { export: wasmSampler.weigh, symbols: weighSymbols, sizes: [2] }

export class WasmSampler implements Weighed {
  weights!: Floats
  sums!: Float32Array
  maxima!: Floats
  ids = new Int32Array(0)
  readonly #exports: Exports
  readonly #memory: WebAssembly.Memory
  readonly #scratch: Place
  /** With the number of `weighProgram` in it. */
  readonly #team: { readonly team: Team; readonly number: number } | undefined
  readonly #candidates = new Candidates()
  readonly #word = floatsAt(new ArrayBuffer(4), 0, 1)
  readonly #symbols = new Array<number>(weighSymbols).fill(0)
  #scores = 0
  #count = 0
  #found = new Int32Array(1)
  #offsets = layout(0)

  constructor(exports: WebAssembly.Exports, memory: WebAssembly.Memory, scratch: Place, team: Team | undefined, number: number) {
    this.#exports = exports as unknown as Exports
    this.#memory = memory
    this.#scratch = scratch
    this.#team = team && { team, number }
  }

  /** Whether the module has what this needs: those of before have not. */
  static fits = (exports: WebAssembly.Exports): boolean => Object.values(wasmSampler).every((name) => typeof exports[name] === 'function')

  /** The token that the scores at an address give, -1 where they are no numbers; they are no more then. E_DEVICE. */
  draw(scores: number, count: number, how: DrawOptions, seen: readonly number[] | undefined): Soon<number> {
    this.#look(scores, count)
    const { values } = this.weights
    if (seen && how.repetitionPenalty !== 1) penalise(values, seen, how)
    const best = this.#exports[wasmSampler.firstMaximum](scores, count)
    if (best < 0 || how.temperature === 0) return best
    const weighing = this.#weigh(this.#bits(values[best]!), this.#bits(rateOf(how.temperature)))
    return whenThere(weighing, () => this.#candidates.draw(this, how, uniform(how.seed, how.position)))
  }

  collect(least: number): number {
    const { maxima, ids } = this.#offsets
    this.#exports[wasmSampler.collect](this.#passed, this.#scores, maxima, ids, this.#count, this.#bits(least))
    return this.#found[0]!
  }

  get #passed(): number {
    return this.#scratch.at / this.#scratch.unit
  }

  #bits(value: number): number {
    this.#word.values[0] = value
    return this.#word.bits[0]!
  }

  #weigh(top: number, rate: number): Soon<void> {
    const { maxima } = this.#offsets
    if (!this.#team) {
      this.#exports[wasmSampler.weigh](this.#passed, this.#scores, maxima, this.#count, top, rate)
      return undefined
    }
    const symbols = this.#symbols
    symbols[0] = this.#scores
    symbols[1] = maxima
    symbols[2] = this.#count
    symbols[3] = top
    symbols[4] = rate
    return this.#team.team.run(this.#team.number, 'a draw', this.#passed, symbols)
  }

  /** Views of what is weighed. A memory that grew has emptied them, or, a shared one, left them as they were. */
  #look(scores: number, count: number): void {
    if (this.#scores === scores && this.#count === count && this.ids.length > 0) return
    const { buffer } = this.#memory
    const { at } = this.#scratch
    const offsets = layout(count)
    this.#scores = scores
    this.#count = count
    this.#offsets = offsets
    this.weights = floatsAt(buffer, scores, count)
    this.sums = new Float32Array(buffer, at, partsOf(count))
    this.maxima = floatsAt(buffer, at + offsets.maxima, partsOf(count))
    this.#found = new Int32Array(buffer, at + offsets.ids, 1)
    this.ids = new Int32Array(buffer, at + offsets.ids + 4, count + 1)
  }
}
