// What tsc leaves undone: the language's library beside the compiled code (the compiler reads dsl/std at run time), and the
// ending of the module that the runtime starts as a worker (tsc rewrites imports, but not a URL; bundlers want it literal).
// `node scripts/finish-build.ts [FOLDER]`: where tsc wrote to, by default dist.

import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const built = process.argv[2] ?? join(root, 'dist')
cpSync(join(root, 'dsl/std'), join(built, 'dsl/std'), { recursive: true })

const starter = join(built, 'runtime/devices/workers.js')
const text = readFileSync(starter, 'utf8')
const compiled = text.replaceAll("new URL('./wasm-worker.ts', import.meta.url)", "new URL('./wasm-worker.js', import.meta.url)")
if (compiled === text) throw new Error('workers.js starts no wasm-worker.ts: has it moved?')
writeFileSync(starter, compiled)
