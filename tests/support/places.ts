// Where a compiled artifact can run: one row per place, so that a conformance test names places instead of devices, and a new
// place (a browser, another number of threads) is a row here and nothing else. A place opens an artifact and gives a model
// with the methods that the tests use; it may run in another process.

import type { TargetName } from '../../compiler/targets/index.ts'
import type { Model, Session } from '../../runtime/index.ts'
import type { Compiled } from './compiled.ts'

export type PlaceSession = Pick<Session, 'position' | 'prefill' | 'decode' | 'score' | 'generate' | 'dispose'>

export interface PlaceModel extends AsyncDisposable {
  readonly tokenizer: Model['tokenizer']
  createSession(options?: { readonly seed?: number }): PlaceSession
}

export interface Place {
  /** What the artifact is compiled for. */
  readonly target: TargetName
  /** Modes of arithmetic that make a difference here. */
  readonly math: readonly ('strict' | 'fast')[]
  /** max |logit − golden| / rms(golden), without quantisation. */
  readonly tolerance: number
  /** The caller disposes of it. */
  open(compiled: Compiled): Promise<PlaceModel>
}

const wasm = (threads: number): Place => ({
  target: 'wasm',
  math: ['strict', 'fast'],
  tolerance: 1e-4,
  open: (compiled) => compiled.open('wasm', { threads }),
})

export const places = {
  reference: { target: 'reference', math: ['strict'], tolerance: 1e-9, open: (compiled) => compiled.open('reference') },
  wasm: wasm(1),
  'wasm, 2 threads': wasm(2),
  'wasm, 4 threads': wasm(4),
  /** A software GPU makes some six to ten calls a second: minutes, where others take seconds. */
  'webgpu, software': { target: 'webgpu', math: ['strict'], tolerance: 1e-4, open: (compiled) => compiled.open('webgpu') },
} as const satisfies Record<string, Place>

export type PlaceName = keyof typeof places

/** [place, math] of every place that passes, for `test.each`. */
export const placesWith = (wanted: (place: Place, name: PlaceName) => boolean): (readonly [PlaceName, 'strict' | 'fast'])[] =>
  (Object.keys(places) as PlaceName[]).flatMap((name) => {
    const place: Place = places[name]
    return wanted(place, name) ? place.math.map((math) => [name, math] as const) : []
  })
