// Names of tensors in files: globs of checkpoint tables, and the nearest names for messages.

/**
 * A glob as a test: `*` is any run of characters, a segment with `.?` after it is optional (`transformer.?h.*.attn.bias`).
 * Matched by walking, not by a regular expression: globs come from model files, and backtracking may take exponential time.
 */
export function globTest(glob: string): (name: string) => boolean {
  const optional = /([^.]*\.)\?/
  const alternatives = optional.test(glob) ? [glob.replace(optional, '$1'), glob.replace(optional, '')] : [glob]
  if (alternatives.length === 2) {
    const tests = alternatives.map(globTest)
    return (name) => tests.some((test) => test(name))
  }
  const [head = '', ...parts] = glob.split('*')
  const tail = parts.pop()
  if (tail === undefined) return (name) => name === glob
  return (name) => {
    if (name.length < head.length + tail.length || !name.startsWith(head) || !name.endsWith(tail)) return false
    let at = head.length
    const end = name.length - tail.length
    for (const part of parts) {
      const found = name.indexOf(part, at)
      if (found < 0 || found + part.length > end) return false
      at = found + part.length
    }
    return true
  }
}

/** Edit distance (Levenshtein), two rows at a time. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]!
}

// The cost is the product of the lengths, and names come from strangers.
const mostCompared = 2000
const longestCompared = 100

/** The `count` names nearest to `name`, best first. */
export function nearestNames(name: string, names: Iterable<string>, count: number): string[] {
  const compared = [...names]
    .slice(0, mostCompared)
    .map((other) => [editDistance(name.slice(0, longestCompared), other.slice(0, longestCompared)), other] as const)
  compared.sort(([a, x], [b, y]) => a - b || (x < y ? -1 : 1))
  return compared.slice(0, count).map(([, other]) => other)
}
