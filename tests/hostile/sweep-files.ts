// A process of its own that opens every prefix and every bit flip of small files, and prints one JSON line a file: how many were
// valid, what the others were called, the slowest, and how far the process's memory rose above that of opening the whole file.

import { memoryFiles } from './memory-files.ts'
import { openAnything } from './open-anything.ts'
import { readFileSync } from 'node:fs'
import {
  smallGguf,
  smallLegacy,
  smallSafetensors,
  smallSentencepiece,
  smallTokenizerBin,
  smallTokenizerJson,
  smallV1,
  writeGguf,
} from './write-files.ts'

interface Subject {
  readonly name: string
  readonly bytes: Uint8Array
  /** Where its header ends: bits behind it are values. */
  readonly header: number
  /** 1: every bit and prefix; n: every n-th. */
  readonly stride?: number
}

const gguf = smallGguf()
const withoutData = writeGguf({ ...gguf, data: 0 }).length
const whole = readFileSync(process.argv[2]!)
const legacy = smallLegacy()
const subjects: readonly Subject[] = [
  { name: 'small.gguf', bytes: writeGguf(gguf), header: withoutData },
  { name: 'small.safetensors', bytes: smallSafetensors(), header: smallSafetensors().length - 530 },
  { name: 'small.bin', bytes: legacy, header: 28 },
  { name: 'small-v1.bin', bytes: smallV1(), header: 256 },
  { name: 'tokenizer.bin', bytes: smallTokenizerBin(), header: Number.POSITIVE_INFINITY },
  { name: 'tokenizer.model', bytes: smallSentencepiece(), header: Number.POSITIVE_INFINITY },
  { name: 'tokenizer.json', bytes: smallTokenizerJson(), header: Number.POSITIVE_INFINITY },
  { name: 'large.gguf', bytes: new Uint8Array(whole), header: whole.length - 2 ** 16, stride: 80021 },
]

const rss = (): number => process.resourceUsage().maxRSS / 1024

for (const { name, bytes, header, stride = 1 } of subjects) {
  const codes: Record<string, number> = {}
  const wrong: string[] = []
  let [cases, valid, slowest] = [0, 0, 0]
  const attempt = (label: string, damaged: Uint8Array): void => {
    const started = process.cpuUsage()
    const outcome = openAnything(name, memoryFiles({ [name]: damaged }))
    // The processor's time: neighbours on the machine are not what is measured.
    const { user, system } = process.cpuUsage(started)
    const milliseconds = (user + system) / 1000
    cases++
    slowest = Math.max(slowest, milliseconds)
    if (outcome.kind === 'valid') valid++
    else if (outcome.kind === 'refused') codes[outcome.code] = (codes[outcome.code] ?? 0) + 1
    if (outcome.kind === 'fault' || (outcome.kind === 'refused' && !outcome.placed)) wrong.push(`${label}: ${outcome.message}`)
  }
  attempt('whole', bytes)
  const intact = valid === 1
  const before = rss()
  for (let length = 0; length < bytes.length; length += stride) attempt(`prefix ${length}`, bytes.subarray(0, length))
  const flipped = bytes.slice()
  for (let bit = 0; bit < 8 * Math.min(header, bytes.length); bit += stride) {
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    attempt(`bit ${bit}`, flipped)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
  }
  process.stdout.write(
    `${JSON.stringify({ name, intact, cases, valid, codes, slowest, risen: rss() - before, wrong: wrong.slice(0, 8) })}\n`,
  )
}
