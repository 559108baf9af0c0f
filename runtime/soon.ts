// Values that may have to be waited for. Between two tokens the processor's caches hold weights, so that what JavaScript touches
// comes from memory: each promise on the way to a token costs five to ten microseconds. So where nothing must be awaited,
// nothing is.

export type Soon<T> = T | Promise<T>

/** `next` of the value: at once if it is there. */
export function whenThere<T, R>(value: Soon<T>, next: (value: T) => Soon<R>): Soon<R> {
  return value instanceof Promise ? value.then(next) : next(value)
}
