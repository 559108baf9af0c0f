// The kept cases and the first half of the random graphs (random-graphs.ts).

import { test } from 'vitest'
import { testRandomGraphs } from './random-graphs.ts'
import { replay } from './replay.ts'

test('cases that failed once', () => replay({ levels: new Set(['wasm'] as const) }))

testRandomGraphs(0)
