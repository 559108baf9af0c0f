// A Node that is too old is told so.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { oldestNode, requireNode } from '../../cli/node-version.ts'

test('older ones are refused, with both versions', () => {
  for (const version of ['18.20.0', '20.20.2', '22.17.9'])
    expect(() => requireNode(version)).toThrow(`${oldestNode} or newer, and this is ${version}`)
  for (const version of ['22.18.0', '22.19.1', '24.0.0', '100.1.0']) requireNode(version)
})

test('package.json says the same', () => {
  const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { engines: { node: string } }
  expect(engines.node).toBe(`>=${oldestNode}`)
})
