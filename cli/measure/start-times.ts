// From the start of the process to the first token, in parts: what a user waits for. Parts follow each other; what runs beside them in
// other threads (binaryen is loaded, a module is built) is not counted apart.

/** Each ends where it is marked and begins where the one before ended; the first with the process. */
export type StartPart = 'starting' | 'checking' | 'fitting' | 'compiling' | 'loading' | 'reading the prompt'

const marks: { readonly part: StartPart; readonly at: number }[] = []

/** The part ends now. */
export const markStart = (part: StartPart): void => void marks.push({ part, at: performance.now() })

export interface StartTimes {
  /** From the start of the process to the last mark. */
  readonly total_ms: number
  readonly parts: Readonly<Partial<Record<StartPart, number>>>
}

/** Milliseconds. `performance.now()` counts from the start of the process. */
export function startTimes(): StartTimes {
  const parts = marks.map(({ part, at }, i) => [part, at - (marks[i - 1]?.at ?? 0)] as const)
  return { total_ms: marks.at(-1)?.at ?? 0, parts: Object.fromEntries(parts) }
}

export const startText = ({ total_ms, parts }: StartTimes): string =>
  `first token ${total_ms.toFixed(0)} ms after the start: ${Object.entries(parts)
    .map(([part, ms]) => `${part} ${ms.toFixed(0)}`)
    .join(', ')}`
