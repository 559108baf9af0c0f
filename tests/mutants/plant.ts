// Plants one mutant while modules load: `node --import ./tests/mutants/plant.ts …` with the mutant's name in LLAMAC_MUTANT. The
// file on disk stays as it is; its text is changed on the way to Node's own type stripping. A mutant whose text is not found
// exactly once is an error: the table must follow the code. What test files load is planted in by vitest.config.ts.

import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import { chosenMutant, plantIn, rootUrl } from './table.ts'

const mutant = chosenMutant()
if (mutant) {
  const url = new URL(mutant.file, rootUrl).href
  registerHooks({
    load(at, context, next) {
      const loaded = next(at, context)
      if (at !== url) return loaded
      if (loaded.source === undefined || loaded.source === null) throw new Error(`no text of ${fileURLToPath(at)}`)
      const text = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source)
      return { ...loaded, source: plantIn(mutant, text) }
    },
  })
}
