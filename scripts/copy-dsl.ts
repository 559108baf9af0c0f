// Copies the language's library beside the compiled code: tsc moves only TypeScript, and the compiler reads dsl/std at run time.

import { cpSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = new URL('../', import.meta.url)
cpSync(fileURLToPath(new URL('dsl/std/', root)), fileURLToPath(new URL('dist/dsl/std/', root)), { recursive: true })
