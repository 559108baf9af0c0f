// Tests run in processes of their own: the software GPU needs a main thread. Two at a time, since most of them compute. With LLAMAC_MUTANT a
// bug is planted in what they load (tests/mutants).

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { chosenMutant, plantIn, rootUrl } from './tests/mutants/table.ts'

const mutant = chosenMutant()
const planted = mutant && fileURLToPath(new URL(mutant.file, rootUrl))

const isLong = ({ moduleId }: TestSpecification): boolean =>
  /property\/random-graphs|conformance\/(golden-texts|hugging-face|smollm2)/.test(moduleId)

/** Files that take minutes come first: at the end one of them would run alone. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

export default defineConfig({
  plugins: mutant
    ? [{ name: 'mutant', enforce: 'pre', transform: (text, id) => (id === planted ? plantIn(mutant, text) : undefined) }]
    : [],
  test: {
    include: ['tests/**/*.test.ts'],
    // What is transformed is kept between runs, by the text on disk: a planted bug would be passed over, or kept.
    fsModuleCache: mutant === undefined,
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    testTimeout: 900_000,
    hookTimeout: 900_000,
  },
})
