// A model from text to tokens in one program: compile in memory, load, stream. It takes the small trained model of the package;
// `openCheckpoint('path/to/weights', nodeFiles)` takes yours.
//
//   node examples/generate.ts

import { compile, defaultModel, nodeFiles, openCheckpoint, packageSources } from '../compiler/index.ts'
import { load, memoryFiles } from '../runtime/index.ts'

const checkpoint = openCheckpoint(defaultModel().weights, nodeFiles)
const result = await compile(packageSources(), { entry: 'models/llama.dsl', target: 'wasm', checkpoint })
if (!result.ok) throw new Error(result.diagnostics.map(({ code, message }) => `${code}: ${message}`).join('\n'))

await using model = await load(memoryFiles(result.artifact))
const session = model.createSession({ seed: 1 })
for await (const { text } of session.generate('JULIET:', { maxTokens: 100, temperature: 0.8 })) process.stdout.write(text)
process.stdout.write('\n')
