// node bench/tokenizers.ts [count] FILE…: what a text of equal characters costs each tokenizer, by default a million of each of twelve
// characters, in seconds of the processor; and how fast ordinary text goes. Files are what `--tokenizer` takes.

import { statSync } from 'node:fs'
import { packMerges } from '../compiler/artifact/pack-merges.ts'
import { nodeFiles, openTokenizer } from '../compiler/weights/index.ts'
import { createTokenizer } from '../runtime/tokenizer/index.ts'

const characters = ['a', ' ', '\n', '7', '.', 'é', '中', '😀', '\u0301', '\t', "'", '\0']
const given = process.argv.slice(2)
const count = /^\d+$/.test(given[0] ?? '') ? Number(given.shift()) : 1_000_000

const seconds = (work: () => void): number => {
  const started = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(started)
  return (user + system) / 1e6
}

for (const file of given) {
  const compact = packMerges(openTokenizer(file, nodeFiles))
  const bytes = Buffer.byteLength(JSON.stringify(compact))
  console.log(`${file}: ${compact.kind}, ${compact.pieces.length} pieces, ${statSync(file).size} bytes, in an artifact ${bytes}`)
  console.log(`  ready in ${seconds(() => createTokenizer(compact)).toFixed(2)} s`)
  const tokenizer = createTokenizer(compact)
  for (const character of characters) {
    let ids: number[] = []
    const spent = seconds(() => (ids = tokenizer.encode(character.repeat(count))))
    console.log(`  ${JSON.stringify(character).padEnd(9)} ${spent.toFixed(2)} s  ${ids.length} tokens`)
  }
}
