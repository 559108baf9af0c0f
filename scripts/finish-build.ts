// What tsc leaves undone: the language's library beside the compiled code (the compiler reads dsl/std at run time), and the
// ending of the module that the runtime starts as a worker (tsc rewrites imports, but not a URL; bundlers want it literal).

import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = new URL('../', import.meta.url)
cpSync(fileURLToPath(new URL('dsl/std/', root)), fileURLToPath(new URL('dist/dsl/std/', root)), { recursive: true })

const starter = new URL('dist/runtime/devices/workers.js', root)
const text = readFileSync(starter, 'utf8')
const compiled = text.replaceAll("new URL('./wasm-worker.ts', import.meta.url)", "new URL('./wasm-worker.js', import.meta.url)")
if (compiled === text) throw new Error('workers.js starts no wasm-worker.ts: has it moved?')
writeFileSync(starter, compiled)
