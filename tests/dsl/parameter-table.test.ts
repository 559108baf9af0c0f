// docs/models.md has every model and preset with the count that the checker gives, and its signs are what the numbers say: the
// published figure exactly, rounded, or not at all. What is not met has a note.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { load, modelNames, numbered, projectFolder } from './read-models.ts'

const text = readFileSync(`${projectFolder}docs/models.md`, 'utf8')

interface Row {
  readonly model: string
  readonly preset: string
  readonly count: number
  readonly sign: string
  readonly published: string
  readonly source: string
}

const number = (shown: string): number => Number(shown.replaceAll(',', ''))

function rows(): readonly Row[] {
  const [, table] = text.split('| --- | --- | ---: | --- | ---: | --- |\n')
  let model = ''
  return table!
    .split('\n\n')[0]!
    .split('\n')
    .map((line) => {
      const [, name, preset, count, sign, published, source] = line.split('|').map((cell) => cell.trim())
      model = name || model
      return { model, preset: preset!, count: number(count!), sign: sign!, published: published!, source: source! }
    })
}

/** `350M` is a figure to tens of millions, `13.0B` to tenths of billions. */
function signOf(count: number, published: string): string {
  if (published === '—') return ''
  if (/^[\d,]+$/.test(published)) return number(published) === count ? '=' : '≠'
  const [, figure, unit] = /^([\d.]+)([MB])$/.exec(published) ?? []
  if (figure === undefined) throw new Error(`${published} is no figure`)
  const decimals = figure.split('.')[1]?.length ?? -/0*$/.exec(figure)![0].length
  const step = (unit === 'B' ? 1e9 : 1e6) / 10 ** decimals
  return Math.round(count / step) === Math.round(Number(figure) * 10 ** decimals) ? '≈' : '≠'
}

test('rounding is that of the figure', () => {
  expect(signOf(109_514_298, '110M')).toBe('≈')
  expect(signOf(355_871_744, '350M')).toBe('≠')
  expect(signOf(12_853_386_240, '13B')).toBe('≈')
  expect(signOf(12_853_386_240, '13.0B')).toBe('≠')
  expect(signOf(124_439_808, '124,439,808')).toBe('=')
  expect(signOf(124_439_808, '124,439,809')).toBe('≠')
})

test('the table has what the checker counts, with the right signs', () => {
  const wanted = modelNames.flatMap((model) => {
    const checked = load(model)
    return checked.presets.map((preset) => ({ model, preset, count: numbered(checked, { preset }).parameters }))
  })
  const given = rows()
  expect(given.map(({ model, preset, count }) => ({ model, preset, count }))).toEqual(wanted)
  expect(given.map(({ model, preset, sign }) => ({ model, preset, sign }))).toEqual(
    given.map(({ model, preset, count, published }) => ({ model, preset, sign: signOf(count, published) })),
  )
  for (const { model, preset, sign, source } of given) {
    expect(source.length, `${model} ${preset} has a source`).toBeGreaterThan(5)
    if (sign === '≠') expect(source, `${model} ${preset} has a note`).toMatch(/\[\d+\]$/)
  }
  const notes = [...text.matchAll(/^(\d+)\. /gm)].map(([, at]) => at)
  expect([...new Set(given.flatMap(({ source }) => [...source.matchAll(/\[(\d+)\]/g)].map(([, at]) => at)))]).toEqual(notes)
})

test('counts that the sources give exactly', () => {
  const count = (model: string, preset: string): number => numbered(load(model), { preset }).parameters
  expect(count('gpt2', 'small')).toBe(124_439_808)
  expect(count('mixtral', '8x7B')).toBe(46_702_792_704)
  expect(count('gemma', '7B')).toBe(8_537_680_896)
})
