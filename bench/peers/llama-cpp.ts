// llama.cpp as it runs in Node: native code of node-llama-cpp, with the vector instructions that it finds on this processor.
//
//   llamac bench … --compare "llama.cpp=node bench/peers/llama-cpp.ts GGUF [--peers DIR]"

import { madeUpIds, runAsPeer } from './peer.ts'

/** What is used of the package. */
interface NodeLlamaCpp {
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<{ createContext(options: object): Promise<{ getSequence(): Sequence }> }>
  }>
}
interface Sequence {
  clearHistory(): Promise<void>
  evaluate(ids: readonly number[], options: object): AsyncIterator<number>
}

const version = '3.22.1'

await runAsPeer({ 'node-llama-cpp': version, '@node-llama-cpp/linux-x64': version }, async ({ model, prefill, decode, threads, file }) => {
  const { getLlama } = (await import(file('node-llama-cpp/dist/index.js'))) as NodeLlamaCpp
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads, progressLogs: false })
  const loaded = await llama.loadModel({ modelPath: model, useMmap: false })
  const context = await loaded.createContext({ contextSize: prefill + decode + 8, batchSize: Math.max(prefill, 8), threads })
  const sequence = context.getSequence()

  const run = async (ids: readonly number[], tokens: number) => {
    await sequence.clearHistory()
    const started = performance.now()
    const generation = sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })
    await generation.next()
    const read = performance.now()
    for (let i = 0; i < tokens; i++) if ((await generation.next()).done) throw new Error(`llama.cpp ended after ${i} tokens`)
    return { prefill: (ids.length * 1000) / (read - started), decode: (tokens * 1000) / (performance.now() - read) }
  }

  // Small enough for every vocabulary there is.
  const ids = madeUpIds(prefill, 30_000)
  await run(ids.slice(0, 8), 4)
  return run(ids, decode)
})
