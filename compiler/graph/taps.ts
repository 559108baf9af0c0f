// Values by path as extra results of an entry (`--tap 'layers.*'`). A path names a part, whose value is what its `forward` gave,
// or another function of a part or of the model. Paths are written with dots, `layers.3.attn`, or as messages show weights,
// `layers[3].attn`. In a pattern `*` is any run of characters between two dots, and a last `**` whatever is below.

import type { TensorType } from './types.ts'
import { globTest, nearestNames } from '../weights/names.ts'
import { LlamacError } from '../../runtime/error.ts'

/** A value that becomes a result. */
export interface Tap {
  /** `layers.3.attn`; the second call of a part within an entry gives `layers.3.attn#2`. */
  readonly name: string
  readonly type: TensorType
  readonly labels: readonly string[]
}

const segmentsOf = (path: string): string[] => path.replaceAll(/\[([^\]]*)\]/g, '.$1').split('.')

/** `layers[3].attn` → `layers.3.attn` */
export const tapName = (path: string): string => segmentsOf(path).join('.')

/** What may be an instance's number. */
const number = /^[\d*]+$/

type Pattern = (path: readonly string[]) => boolean

/** `[*]` in a path stands for some instance, so that a number in the pattern may mean it. */
function patternTest(pattern: string): Pattern {
  const segments = segmentsOf(pattern.trim())
  const below = segments.at(-1) === '**'
  const tests = (below ? segments.slice(0, -1) : segments).map((segment) => {
    const test = globTest(segment)
    return (name: string): boolean => test(name) || (name === '*' && number.test(segment))
  })
  return (path) => (below ? path.length > tests.length : path.length === tests.length) && tests.every((test, i) => test(path[i]!))
}

/** The patterns of a compilation, with what they have met in its entries. */
export class TapPatterns {
  readonly #patterns: readonly { readonly text: string; readonly test: Pattern }[]
  readonly #matched = new Set<string>()
  readonly #seen = new Set<string>()

  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.map((text) => ({ text, test: patternTest(text) }))
  }

  /** Whether some instance's value at a path (`layers[*].attn`) is asked for. */
  mayWant(path: string): boolean {
    this.#seen.add(tapName(path))
    const segments = segmentsOf(path)
    return this.#patterns.some(({ test }) => test(segments))
  }

  /** Whether the value at a concrete path is asked for. */
  wants(path: string): boolean {
    const segments = segmentsOf(path)
    const found = this.#patterns.filter(({ test }) => test(segments))
    for (const { text } of found) this.#matched.add(text)
    return found.length > 0
  }

  /** After all entries. E_TAP for a pattern that no value has matched. */
  expectAllMatched(): void {
    const missed = this.#patterns.find(({ text }) => !this.#matched.has(text))
    if (!missed) return
    const near = nearestNames(tapName(missed.text), this.#seen, 3)
    throw new LlamacError(
      'E_TAP',
      near.length === 0
        ? `--tap '${missed.text}': the entries call no parts and no functions, so there are no values by path`
        : `--tap '${missed.text}' is no part or function that an entry calls; the nearest are ${near.join(', ')}`,
    )
  }
}
