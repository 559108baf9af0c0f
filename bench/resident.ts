// How much memory a process takes that loads an artifact and generates, above what it had before: a process of its own, for start.ts
// and for tests. Arguments: the runtime's module, the artifact's folder, how many tokens to generate. Prints one line of JSON.

import { readFileSync } from 'node:fs'

const [, , runtime, folder, count] = process.argv
const { load } = (await import(runtime!)) as typeof import('../runtime/index.ts')

/** Bytes by the kernel's account of this process. */
function memory(): { readonly resident: number; readonly peak: number } {
  const status = readFileSync('/proc/self/status', 'utf8')
  const of = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)![1]) * 1024
  return { resident: of('VmRSS'), peak: of('VmHWM') }
}

const bare = memory()
const model = await load(folder!)
const loaded = memory()
let tokens = 0
for await (const _ of model.createSession().generate([1, 2, 3], { maxTokens: Number(count) })) tokens++
const after = memory()

const { manifest } = model
const wasm = manifest.variants.find((variant) => variant.target === 'wasm')!
console.log(
  JSON.stringify({
    device: model.device,
    tokens,
    bare: bare.resident,
    loaded: loaded.resident - bare.resident,
    /** The most at any time while loading, above what a bare process ever had. */
    loading: loaded.peak - bare.peak,
    generated: after.resident - bare.resident,
    weights: manifest.tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    states: wasm.memory.stateBytes,
    arena: wasm.memory.arenaBytes,
  }),
)
await model.dispose()
process.exit(0)
