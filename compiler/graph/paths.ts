// Paths of weights and states in the body of a loop: `[*]` stands for the running instance of the array before it.

/** One running loop: `array` is its concrete path. */
export interface Frame {
  readonly array: string
  readonly index: number
}

/** `layers[3].attn.wq` → `layers[*].attn.wq` (the outermost array only): what all instances of an array have in common. */
export const patternOf = (path: string): string => path.replace(/\[\d+\]/, '[*]')

/** A path with the instances' numbers in it: `layers[*].attn.wq` → `layers[3].attn.wq`. `frames`: outermost first. */
export const fillPath = (path: string, frames: readonly Frame[]): string =>
  frames.reduce(
    (filled, { array, index }) => (filled.startsWith(`${array}[*]`) ? `${array}[${index}]${filled.slice(array.length + 3)}` : filled),
    path,
  )
