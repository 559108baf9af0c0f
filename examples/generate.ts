// A model from text to tokens in one program: compile in memory, load, stream. Weights are pseudo-random, so the ids mean
// nothing; give `checkpoint: openCheckpoint('path/to/weights', nodeFiles)` for a trained model, and a text for a prompt.
//
//   node examples/generate.ts

import { compile, packageSources } from '../compiler/index.ts'
import { load, memoryFiles } from '../runtime/index.ts'

const result = await compile(packageSources(), { entry: 'models/llama.dsl', preset: 'tiny', target: 'wasm', seedWeights: 1 })
if (!result.ok) throw new Error(result.diagnostics.map(({ code, message }) => `${code}: ${message}`).join('\n'))

await using model = await load(memoryFiles(result.artifact))
const session = model.createSession({ seed: 1 })
for await (const { token } of session.generate([1, 2, 3], { maxTokens: 16, temperature: 0.8 })) process.stdout.write(`${token} `)
process.stdout.write('\n')
