// What an artifact's files are made of, as a text with the number that the manifest states: whoever changes the one sees the other.
// A runtime of another number says so instead of taking a field for what it is not.

import { expect, test } from 'vitest'
import { manifestFormat } from '../../runtime/artifact/manifest.ts'
import { compileForTest } from '../support/compiled.ts'

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** What these values have in common, with all that any of them has: an array's items are one, `?` is what not every record has. */
function shapeOf(values: readonly unknown[], indent = ''): string {
  const [lists, records] = [values.filter(Array.isArray), values.filter(isRecord)]
  const others = values.filter((value) => typeof value !== 'object' || value === null).map((value) => typeof value)
  const inner = `${indent}  `
  const fields = [...new Set(records.flatMap(Object.keys))].map((name) => {
    const having = records.filter((record) => name in record)
    const optional = having.length < records.length ? '?' : ''
    return `${inner}${name}${optional}: ${shapeOf(
      having.map((record) => record[name]),
      inner,
    )}\n`
  })
  return [
    ...new Set(others),
    ...(lists.length > 0 ? [`[${shapeOf(lists.flat(), indent)}]`] : []),
    ...(records.length > 0 ? [`{\n${fields.join('')}${indent}}`] : []),
  ].join(' | ')
}

test('what is stored is what the format number stands for', async () => {
  const { files } = await compileForTest({
    model: 'llama',
    checkpoint: 'checkpoints/stories260K.legacy.bin',
    tokenizer: 'checkpoints/tok512.bin',
    quant: 'q4_0',
    cache: 'f16',
    math: 'fast',
    targets: ['wasm', 'webgpu'],
  })
  const parts = ['manifest.json', [...files.keys()].find((name) => name.endsWith('.webgpu.json'))!].map(
    (name) => `${name}: ${shapeOf([JSON.parse(new TextDecoder().decode(files.get(name)))])}\n`,
  )
  await expect(
    `format ${manifestFormat}: raise manifestFormat (runtime/artifact/manifest.ts) when a runtime that knows what follows would read something else\n\n${parts.join('\n')}`,
  ).toMatchFileSnapshot('../golden/artifact-format.txt')
})
