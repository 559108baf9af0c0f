// Types that the graph shares with the language half.
export type { Affine } from '../../dsl/affine.ts'
export type { EntrySymbol as EntrySymbolLike } from '../../dsl/model.ts'
export type { Attribute, BinaryOpName, Dtype, ReduceOp, TensorType, UnaryOp } from '../../dsl/sink.ts'
