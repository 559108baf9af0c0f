// Rows of numbers that repeat with steps: packed and unpacked they are the same, and long repetitions become short.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { packRows, unpackRows } from '../../runtime/artifact/packed-rows.ts'

const row = fc.array(fc.integer({ min: -3, max: 9 }), { maxLength: 3 })

test('any list comes back', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          row.map((one): unknown[] => [one]),
          fc.constant([{ kind: 'places' }] as unknown[]),
          fc
            .record({
              rows: fc.array(row, { minLength: 1, maxLength: 4 }),
              by: fc.integer({ min: 0, max: 3 }),
              times: fc.integer({ min: 1, max: 9 }),
            })
            .map(({ rows, by, times }): unknown[] =>
              Array.from({ length: times }, (_, turn) => rows.map((one) => one.map((number, i) => number + turn * by * i))).flat(),
            ),
        ),
        { maxLength: 8 },
      ),
      (parts) => {
        const list = parts.flat()
        const packed = packRows(list)
        expect(unpackRows(JSON.parse(JSON.stringify(packed)) as unknown[])).toEqual(list)
        expect(packed.length).toBeLessThanOrEqual(list.length)
      },
    ),
    { numRuns: 300 },
  )
})

test('layers are written once', () => {
  const layer = (n: number): number[][] => [
    [3, 1],
    [4, 100 + 7 * n, 5],
    [3, 2, n],
  ]
  const list = [[0], ...Array.from({ length: 40 }, (_, n) => layer(n)).flat(), [9]]
  expect(packRows(list)).toEqual([
    [0],
    {
      times: 40,
      rows: layer(0),
      steps: [
        [0, 0],
        [0, 7, 0],
        [0, 0, 1],
      ],
    },
    [9],
  ])
})
