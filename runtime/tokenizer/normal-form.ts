// Unicode's normal forms by the engine, in linear time: engines put the marks behind a letter in order by insertion, which is quadratic, and
// 100,000 of them take V8 seven seconds. Long runs are therefore put in order here first, which never changes the result: marks are
// sorted by combining class within each stretch that holds no starter. Classes are learnt from the engine, by whether it swaps two
// marks.

type Form = 'NFC' | 'NFD' | 'NFKC' | 'NFKD'

/** Shorter runs are the engine's: they cost at most this many steps a mark. */
const longRuns = /\p{M}{64,}/gu
/** The lowest combining class, 1, and the highest, 240. */
const [lowest, highest] = ['\u0334', '\u0345']

export function normalForm(text: string, form: Form): string {
  return text.replace(longRuns, inOrder).normalize(form)
}

const swaps = (first: string, second: string): boolean => first !== second && (first + second).normalize('NFD') === second + first
const isStarter = (mark: string): boolean => mark !== highest && !swaps(highest, mark) && !swaps(mark, lowest)

/** The same marks, decomposed, in canonical order. */
function inOrder(run: string): string {
  const decomposed = new Map(Array.from(new Set(run), (mark) => [mark, [...mark.normalize('NFD')]]))
  const distinct = [...new Set([...decomposed.values()].flat())]
  const starters = new Set(distinct.filter(isStarter))
  const sorted = distinct.filter((mark) => !starters.has(mark)).sort((a, b) => Number(swaps(a, b)) - Number(swaps(b, a)))
  const classes = new Map<string, number>()
  let order = 0
  for (const [i, mark] of sorted.entries()) {
    if (i > 0 && swaps(mark, sorted[i - 1]!)) order++ // a higher class than the one before
    classes.set(mark, order)
  }
  let buckets: string[][] = []
  let result = ''
  const flush = (): void => {
    result += buckets.flat().join('')
    buckets = []
  }
  for (const mark of run) {
    for (const part of decomposed.get(mark)!) {
      if (starters.has(part)) {
        flush()
        result += part
      } else (buckets[classes.get(part)!] ??= []).push(part)
    }
  }
  flush()
  return result
}
