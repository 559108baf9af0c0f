// The second half of the random graphs (random-graphs.ts).

import { testRandomGraphs } from './random-graphs.ts'

testRandomGraphs(1)
