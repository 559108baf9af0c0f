// Independent numbers for the conformance tests: where they lie, and arrays as the golden files write them. Missing data fails a
// test; it never makes one pass. The folder is LLAMAC_DATA, by default ../shared/data beside the project.

import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const project = fileURLToPath(new URL('../../', import.meta.url))
const root = resolve(process.env['LLAMAC_DATA'] ?? fileURLToPath(new URL('../../../shared/data', import.meta.url)))

/** Path of a data file or folder; `tests/…` lies in the project itself. Throws when the data is missing. */
export function dataPath(name: string): string {
  if (name.startsWith('tests/')) return resolve(project, name)
  if (!existsSync(root)) throw new Error('the folder with the test data is missing: set LLAMAC_DATA to it')
  const path = resolve(root, name)
  if (!existsSync(path)) throw new Error(`the test data has no ${name}: is LLAMAC_DATA the right folder?`)
  return path
}

export const dataText = (name: string): string => readFileSync(dataPath(name), 'utf8')

interface EncodedArray {
  readonly dims: readonly number[]
  readonly dtype: string
  readonly base64: string
}

/** One sequence of a Hugging Face golden: logits are [positions, vocab], row-major. */
export interface GoldenSequence {
  readonly ids: readonly number[]
  readonly logits: Float64Array
  readonly vocab: number
  /** What argmax decoding appends; empty where the file has none. */
  readonly greedy: readonly number[]
  /** Segment of each id: encoders only. */
  readonly segments?: readonly number[]
  /** The decoder's ids, which the logits belong to: translators only. */
  readonly target?: readonly number[]
}

function decodeArray({ dims, dtype, base64 }: EncodedArray): Float64Array {
  const bytes = Buffer.from(base64, 'base64')
  const values = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
  const count = dims.reduce((product, dim) => product * dim, 1)
  if (dtype !== 'float64' || values.length !== count)
    throw new Error(`the golden array is ${dtype} with ${values.length} values, not [${dims}]`)
  return values
}

/** The sequences of `hf-golden/<folder>`, or of a folder under `tests/`. */
export function goldenSequences(folder: string): readonly GoldenSequence[] {
  const golden = JSON.parse(dataText(`${folder.startsWith('tests/') ? '' : 'hf-golden/'}${folder}/golden.json`)) as {
    sequences: readonly {
      input_ids: readonly number[]
      logits: EncodedArray
      greedy?: readonly number[]
      token_type_ids?: readonly number[]
      decoder_input_ids?: readonly number[]
    }[]
  }
  return golden.sequences.map(({ input_ids: ids, logits, greedy = [], token_type_ids: segments, decoder_input_ids: target }) => ({
    ids,
    logits: decodeArray(logits),
    vocab: logits.dims[1]!,
    greedy,
    ...(segments ? { segments } : {}),
    ...(target ? { target } : {}),
  }))
}

/**
 * Hidden states of the sequence with 7 ids, [7, hidden] each: `embed`, `layer.N`, `final_norm`; of a translator with
 * `encoder.` or `decoder.` before.
 */
export function goldenHiddenStates(folder: string): ReadonlyMap<string, Float64Array> {
  const { hidden_states: states } = JSON.parse(dataText(`hf-golden/${folder}/golden.json`)) as {
    hidden_states: Readonly<Record<string, EncodedArray>>
  }
  return new Map(Object.entries(states).map(([name, array]) => [name, decodeArray(array)]))
}

/** max |a − b| / rms(b): how far numbers are off, in units of what they should be. Infinity where the lengths differ. */
export function worstDifference(actual: ArrayLike<number>, wanted: ArrayLike<number>): number {
  if (actual.length !== wanted.length || wanted.length === 0) return Infinity
  let [most, squares] = [0, 0]
  for (let i = 0; i < wanted.length; i++) {
    const difference = Math.abs(actual[i]! - wanted[i]!)
    // NaN must not pass as small.
    if (!(difference <= most)) most = Number.isNaN(difference) ? Infinity : difference
    squares += wanted[i]! ** 2
  }
  return most / Math.sqrt(squares / wanted.length)
}

/** Σ (a − b)² / Σ b². Infinity where the lengths differ. */
export function normalisedError(actual: ArrayLike<number>, wanted: ArrayLike<number>): number {
  if (actual.length !== wanted.length) return Infinity
  let [error, scale] = [0, 0]
  for (let i = 0; i < wanted.length; i++) {
    error += (actual[i]! - wanted[i]!) ** 2
    scale += wanted[i]! ** 2
  }
  return error / scale
}

/** What `smollm2/golden.json` says of one prompt; see the README there. */
export interface SmolCase {
  readonly name: string
  readonly messages?: unknown
  readonly prompt: string
  readonly ids: readonly number[]
  /** [id, logit] of the 20 best at the last position, best first. */
  readonly top: readonly (readonly [number, number])[]
  readonly logsumexp: number
  /** At each position of the prompt. */
  readonly argmax: readonly number[]
  readonly greedy: readonly number[]
  readonly text: string
  /** Best minus second-best logit at each greedy step. */
  readonly gap: readonly number[]
}

interface SmolGolden {
  /** Of the test data. */
  readonly file: string
  readonly cases: readonly SmolCase[]
  readonly nll: {
    readonly window: number
    readonly windows: number
    readonly ids: readonly number[]
    readonly perWindow: readonly number[]
  }
}

export const smolGolden = (): SmolGolden => ({
  file: 'smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
  ...(JSON.parse(dataText('smollm2/golden.json')) as Omit<SmolGolden, 'file'>),
})

/** The model file of each golden checkpoint, by folder. */
export const goldenModels = {
  llama: 'llama',
  'llama-gqa': 'llama',
  'llama3-rope': 'llama3',
  gpt2: 'gpt2',
  'openai-gpt': 'openai_gpt',
  mistral: 'mistral',
  mixtral: 'mixtral',
  qwen2: 'qwen2',
  gemma: 'gemma',
  'gpt-neo': 'gpt_neo',
  bert: 'bert',
  marian: 'marian',
} as const satisfies Readonly<Record<string, string>>
