// Weights and tokenizers from files, as the compiler's driver and the command line use them.

export { bindWeights, hasTensorFor, type Bound, type BoundWeight, type BindOptions } from './bind.ts'
export { fromBytes, type ByteSource, type Files } from './byte-source.ts'
export { openCheckpoint, readConfig, type Checkpoint, type CheckpointConfig, type Container } from './checkpoint.ts'
export { nodeFiles } from './node-source.ts'
export { type Importance, prepareTensor, type Prepared } from './prepare.ts'
export { seededWeights } from './seeded.ts'
export type { StoredTensor } from './stored-tensor.ts'
export { openTokenizer } from './tokenizers/open-tokenizer.ts'
export { readVocabulary } from './tokenizers/vocabulary.ts'
