// Runs in Deno: the runtime itself, on the artifact in a folder. Prints the text of each device as JSON.

import process from 'node:process'
import { load, type ModelOptions } from '../../../runtime/index.ts'

const [, , folder, prompt, count] = process.argv as [string, string, string, string, string]
const devices: readonly ModelOptions[] = [{ device: 'wasm' }, { device: 'wasm', threads: 2 }, { device: 'webgpu' }]
const texts: Record<string, string> = {}
for (const options of devices) {
  await using model = await load(folder, options)
  let text = ''
  for await (const piece of model.createSession().generate(prompt, { maxTokens: Number(count) })) text += piece.text
  texts[model.device] = text
}
process.stdout.write(JSON.stringify(texts), () => process.exit(0))
