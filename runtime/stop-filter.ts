// Stop strings in streamed text. A stop string may be spread over tokens, so text that could be the beginning of one is held
// back until it is decided.

export interface StopFilter {
  /** Text that may be shown now. `stopped`: a stop string was completed; it and what follows are swallowed. */
  push(text: string): { readonly text: string; readonly stopped: boolean }
  /** What was held back, when the text ends without a stop string. */
  end(): string
}

/** Empty strings are ignored. When several could stop, the one that begins first does. */
export function createStopFilter(stops: readonly string[]): StopFilter {
  const wanted = stops.filter((stop) => stop !== '')
  let held = ''
  return {
    push(text) {
      if (wanted.length === 0) return { text, stopped: false }
      held += text
      let first = -1
      for (const stop of wanted) {
        const at = held.indexOf(stop)
        if (at >= 0 && (first < 0 || at < first)) first = at
      }
      if (first >= 0) {
        const shown = held.slice(0, first)
        held = ''
        return { text: shown, stopped: true }
      }
      let keep = 0
      for (const stop of wanted) {
        for (let length = Math.min(stop.length - 1, held.length); length > keep; length--) {
          if (held.endsWith(stop.slice(0, length))) keep = length
        }
      }
      const shown = held.slice(0, held.length - keep)
      held = held.slice(held.length - keep)
      return { text: shown, stopped: false }
    },
    end() {
      const rest = held
      held = ''
      return rest
    },
  }
}
