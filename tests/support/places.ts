// Where a compiled artifact can run: one row per place, so that a conformance test names places instead of devices, and a new
// place (a browser, another number of threads) is a row here and nothing else. A place opens an artifact and gives a model
// with the methods that the tests use; it may run in another process.

import type { TargetName } from '../../compiler/targets/index.ts'
import type { Model, Session } from '../../runtime/index.ts'
import { loadInChromium, type PageOptions } from '../browser/chromium.ts'
import { isolation } from '../browser/site.ts'
import type { Compiled } from './compiled.ts'

export type PlaceSession = Pick<Session, 'prefill' | 'decode' | 'score' | 'call' | 'generate' | 'dispose'>

export interface PlaceModel extends AsyncDisposable {
  readonly tokenizer: Model['tokenizer']
  readonly device: string
  createSession(options?: { readonly seed?: number }): PlaceSession
}

export interface Place {
  /** What the artifact is compiled for. */
  readonly target: TargetName
  readonly host: 'node' | 'chromium'
  /** Modes of arithmetic that make a difference here. */
  readonly math: readonly ('strict' | 'fast')[]
  /** max |logit − golden| / rms(golden), without quantisation. */
  readonly tolerance: number
  /** The caller disposes of it. */
  open(compiled: Compiled): Promise<PlaceModel>
}

const wasm = (threads: number): Place => ({
  target: 'wasm',
  host: 'node',
  math: ['strict', 'fast'],
  tolerance: 1e-4,
  open: (compiled) => compiled.open('wasm', { threads }),
})

/** `device`: what the model must say that it runs on; a place that ran elsewhere would prove nothing. */
const chromium = (target: 'wasm' | 'webgpu', threads: number, device: string, page: PageOptions = {}): Place => ({
  target,
  host: 'chromium',
  math: target === 'wasm' ? ['strict', 'fast'] : ['strict'],
  tolerance: 1e-4,
  async open({ files }) {
    const model = await loadInChromium(files, { device: target, threads }, page)
    if (model.device !== device) throw new Error(`expected ${device}, the model runs on ${model.device}`)
    return model
  },
})

/** A page that has shared memory, and a worker of it: the page's own thread may not wait, the worker may. */
const page: PageOptions = { headers: isolation }
const worker: PageOptions = { headers: isolation, worker: true }

export const places = {
  reference: { target: 'reference', host: 'node', math: ['strict'], tolerance: 1e-9, open: (compiled) => compiled.open('reference') },
  wasm: wasm(1),
  'wasm, 2 threads': wasm(2),
  'wasm, 4 threads': wasm(4),
  /** A software GPU makes some six to ten calls a second: minutes, where others take seconds. */
  'webgpu, software': { target: 'webgpu', host: 'node', math: ['strict'], tolerance: 1e-4, open: (compiled) => compiled.open('webgpu') },
  /** Without shared memory one thread runs, whatever is asked for. */
  'wasm in Chromium': chromium('wasm', 4, 'wasm'),
  'wasm in a worker of Chromium': chromium('wasm', 1, 'wasm', worker),
  'wasm in a worker of Chromium, 2 threads': chromium('wasm', 2, 'wasm, 2 threads', worker),
  'wasm in a worker of Chromium, 4 threads': chromium('wasm', 4, 'wasm, 4 threads', worker),
  'wasm in Chromium, 2 threads': chromium('wasm', 2, 'wasm, 2 threads', page),
  'wasm in Chromium, 4 threads': chromium('wasm', 4, 'wasm, 4 threads', page),
  /** A software GPU as well, but calls come back sooner than in Node: some forty a second. */
  'webgpu in Chromium': chromium('webgpu', 1, 'webgpu'),
} as const satisfies Record<string, Place>

export type PlaceName = keyof typeof places

/** [place, math] of every place that passes, for `test.each`. */
export const placesWith = (wanted: (place: Place, name: PlaceName) => boolean): (readonly [PlaceName, 'strict' | 'fast'])[] =>
  (Object.keys(places) as PlaceName[]).flatMap((name) => {
    const place: Place = places[name]
    return wanted(place, name) ? place.math.map((math) => [name, math] as const) : []
  })
