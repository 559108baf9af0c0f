// The closed set of primitives, by the name a body calls them with.

export const floatFunctions = ['exp', 'log', 'sqrt', 'rsqrt', 'sin', 'cos', 'tanh', 'erf'] as const
export const pairFunctions = ['min', 'max', 'pow'] as const
export const casts = ['f32', 'f16', 'bf16', 'i32', 'u32', 'i8', 'u8', 'bool', 'real'] as const
export const reductions = ['sum', 'mean', 'max', 'min'] as const

export const primitiveNames: readonly string[] = [
  ...new Set([
    ...floatFunctions,
    ...pairFunctions,
    ...casts,
    ...reductions,
    'neg',
    'abs',
    'floor',
    'not',
    'log2',
    'where',
    'iota',
    'expand',
    'dot',
    'split',
    'merge',
    'rename',
    'order',
    'concat',
    'pad',
    'topk',
    'axes',
    'each',
  ]),
]
