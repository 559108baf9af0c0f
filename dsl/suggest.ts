// "Did you mean": the nearest of the names that would have been right.
// Optimal string alignment distance (insert, delete, change, swap neighbours), with case folded: `Embd` is near `embed`.

/** Number of single-letter edits from a to b, a swap of neighbours counting one. Cells: |a| x |b|; meant for names. */
export function distance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (last[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let best = Math.min((last[j] as number) + 1, (row[j - 1] as number) + 1, change)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, (before[j - 2] as number) + 1)
      row.push(best)
    }
    before = last
    last = row
  }
  return last[b.length] as number
}

/** Work for one suggestion: names and their number are a stranger's choice. Two thousand names of ten letters are compared. */
const mostCells = 200_000

/** Up to `count` candidates that `name` may be a misspelling of (a third of its letters, at least one), nearest first. */
export function suggestions(name: string, candidates: Iterable<string>, count = 3): string[] {
  const limit = Math.max(1, Math.floor(name.length / 3))
  const folded = name.toLowerCase()
  const near = [...new Set(candidates)].filter((candidate) => candidate !== name && Math.abs(candidate.length - name.length) <= limit)
  return near
    .slice(0, mostCells / (name.length * (name.length + limit)))
    .map((candidate) => ({ candidate, far: distance(folded, candidate.toLowerCase()) }))
    .filter(({ far }) => far <= limit)
    .sort((a, b) => a.far - b.far || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, count)
    .map(({ candidate }) => candidate)
}

/** The nearest candidate, if any is near enough to be meant. */
export const suggest = (name: string, candidates: Iterable<string>): string | undefined => suggestions(name, candidates, 1)[0]

/** The `count` nearest candidates however far, for "the file has …" lists. Long names differ in whole segments: no limit. */
export function nearest(name: string, candidates: Iterable<string>, count = 3): string[] {
  return [...new Set(candidates)]
    .map((candidate) => ({ candidate, far: distance(name, candidate) }))
    .sort((a, b) => a.far - b.far || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, count)
    .map(({ candidate }) => candidate)
}
