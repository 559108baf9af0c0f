// Tests run in processes of their own: the software GPU needs a main thread. Two at a time, since most of them compute. With LLAMAC_MUTANT a
// bug is planted in what they load (tests/mutants).

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { chosenMutant, plantIn, rootUrl } from './tests/mutants/table.ts'

const mutant = chosenMutant()
const planted = mutant && fileURLToPath(new URL(mutant.file, rootUrl))

export default defineConfig({
  plugins: mutant
    ? [{ name: 'mutant', enforce: 'pre', transform: (text, id) => (id === planted ? plantIn(mutant, text) : undefined) }]
    : [],
  test: {
    include: ['tests/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 900_000,
    hookTimeout: 900_000,
  },
})
