// Work that runs beside other work and ends with it: a signal that fires when the caller's does, or when one of the two fails.

/** `together(outer, a, b)`: both at once; what fails first aborts the other, is thrown once that one has ended, and `undo` frees what it made. */
export async function together<A, B>(
  outer: AbortSignal | undefined,
  first: (signal: AbortSignal) => Promise<A>,
  second: (signal: AbortSignal) => Promise<B>,
  undo: (made: { readonly first?: A; readonly second?: B }) => void,
): Promise<[A, B]> {
  const abort = new AbortController()
  const end = (): void => abort.abort(outer?.reason)
  if (outer?.aborted) end()
  outer?.addEventListener('abort', end)
  let failure: { readonly cause: unknown } | undefined
  const run = async <T>(work: (signal: AbortSignal) => Promise<T>): Promise<{ readonly value: T } | undefined> => {
    try {
      return { value: await work(abort.signal) }
    } catch (cause) {
      failure ??= { cause }
      abort.abort(cause)
      return undefined
    }
  }
  try {
    const [a, b] = await Promise.all([run(first), run(second)])
    if (a && b) return [a.value, b.value]
    undo({ ...(a ? { first: a.value } : {}), ...(b ? { second: b.value } : {}) })
    throw failure!.cause
  } finally {
    outer?.removeEventListener('abort', end)
  }
}
