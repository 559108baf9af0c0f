// What tsc leaves undone: the language's library and the examples of its messages beside the compiled code (they are read at run
// time), and the ending of the module that the runtime starts as a worker (tsc rewrites imports, but not a URL; bundlers want it literal).
// The command line is put into few files: most of a short command's time is Node looking for hundreds of modules. That goes for the
// packages in many files too; llamac and llamac/runtime stay as they are, since bundlers and pages take them in pieces.
// `node scripts/finish-build.ts [FOLDER]`: where tsc wrote to, by default dist.

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const root = fileURLToPath(new URL('../', import.meta.url))
const built = process.argv[2] ?? join(root, 'dist')
for (const folder of ['dsl/std', 'dsl/examples']) cpSync(join(root, folder), join(built, folder), { recursive: true })

const starter = join(built, 'runtime/devices/workers.js')
const text = readFileSync(starter, 'utf8')
const compiled = text.replaceAll("new URL('./wasm-worker.ts', import.meta.url)", "new URL('./wasm-worker.js', import.meta.url)")
if (compiled === text) throw new Error('workers.js starts no wasm-worker.ts: has it moved?')
writeFileSync(starter, compiled)

// Workers lie beside what starts them, and as far below dist as the modules that look for dsl/ and models/.
const commands = join(built, 'cli')
const bundle = await rolldown({
  input: [join(commands, 'main.js'), join(commands, 'module-worker.js'), join(built, 'runtime/devices/wasm-worker.js')],
  // The others are one file each, or are loaded on demand.
  external: /^(?!@?chevrotain|commander)[\w@]/,
  // The folder may be outside of the project.
  resolve: { modules: [join(root, 'node_modules')] },
  platform: 'node',
})
const { output } = await bundle.generate({ entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' })
await bundle.close()
rmSync(commands, { recursive: true })
mkdirSync(commands)
for (const [name, licence] of Object.entries({ chevrotain: 'LICENSE.txt', commander: 'LICENSE' }))
  cpSync(join(root, 'node_modules', name, licence), join(commands, `${name}-LICENSE.txt`))
for (const file of output) if (file.type === 'chunk') writeFileSync(join(commands, file.fileName), file.code)
