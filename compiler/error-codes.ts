// Every code that the compiler and its readers of files raise as a LlamacError, with what it means and what helps. The language's
// own (L…) are in dsl/codes.ts, the runtime's in runtime/error-codes.ts, the command line's in cli/error-codes.ts.

/** Code → what it means and what helps. */
export const compilerCodes = {
  E_NO_SOURCE: 'The artifact keeps no source of its model, or one that this version cannot compile: give the .dsl file and its weights.',
  E_NO_MODEL: 'The file declares no `model`: name the file that does.',
  E_PROGRAM_TOO_LARGE:
    'What the model becomes is larger than the compiler handles: unrolled loops, long chains of operations, or nested `concat` and `pad`. Use parts and `for`, or fewer steps.',
  E_MEMORY_TOO_LARGE:
    "Weights, states and intermediate values together exceed WASM's 16 GiB: use --quant, a smaller --ctx or --max-seq, or the target webgpu.",
  E_SCRATCH:
    'A kernel keeps more at once than the target has room for, usually the scores of one query over the whole context: use a smaller --ctx.',
  E_ARENA_TOO_LARGE: 'The intermediate values exceed one WebGPU binding: use a smaller --max-seq or --ctx.',
  E_STATE_TOO_LARGE: 'One state (a cache) exceeds one WebGPU binding: use a smaller --ctx.',
  E_TENSOR_TOO_LARGE: 'One weight exceeds a WebGPU binding and cannot be cut: use a smaller storage format (--quant) or the target wasm.',
  E_TENSOR_VALUES:
    'A weight has values that are no numbers (NaN or infinities), and its storage format cannot keep them: the checkpoint is damaged. --quant none keeps them.',
  E_QUANT_PATHS: 'No weight fits the paths of a --quant rule: `llamac inspect` of an artifact lists the paths of its weights.',
  E_CACHE_PATHS:
    'A rule of `--cache` fits no cache, or only some instances of an array, whose caches are stored alike. A state is a cache where nothing that is stored to it is made from it.',
  E_OUTPUT_FOLDER: 'The artifact cannot be written there: the folder holds other files, or is not writable. Choose another with -o.',
  G101: 'There is no pass of that name, or it cannot be left out; the message lists those there are.',
  E_TAP:
    'A pattern of --tap names no part and no function that an entry of the model calls: `layers.*`, `layers.3.attn`, `out_norm`; `*` stays between two dots, a last `**` does not.',
  K101: 'Axes with a size known only at run time can be merged or split only when they are outermost. Reorder the axes.',
  K102: 'Activations are quantised along axes of a constant size only. Use --activations f32, or store this weight as f16 or f32.',

  E_CHECKPOINT_NOT_FOUND: 'There is no such file, or the folder holds no checkpoint that is known.',
  E_CHECKPOINT_UNKNOWN: 'The file is neither safetensors, nor GGUF, nor a llama2.c checkpoint.',
  E_CHECKPOINT_PICKLE: 'PyTorch pickles can run code and are never opened: convert the file to safetensors.',
  E_CHECKPOINT_CONFIG: 'The config.json is not a JSON object (or nested too deeply, or with a key twice).',
  E_CHECKPOINT_CHANGED: 'The file became shorter while it was read: wait until it is written.',

  E_SAFETENSORS_HEADER_TOO_SMALL: 'The file is too short for a header: the download is incomplete.',
  E_SAFETENSORS_HEADER_TOO_LARGE: 'The header claims more than 100 MB: this is no safetensors file.',
  E_SAFETENSORS_HEADER_LENGTH: 'The header claims more bytes than the file has: the download is incomplete.',
  E_SAFETENSORS_HEADER_UTF8: 'The header is not UTF-8: the file is damaged.',
  E_SAFETENSORS_HEADER_JSON:
    'The header is not the JSON that safetensors asks for (also: a key twice, a number beyond 64 bits, a dtype that is unknown).',
  E_SAFETENSORS_OFFSET: 'Tensors overlap, leave gaps, or begin before the data: the file is damaged or made to mislead.',
  E_SAFETENSORS_SHAPE: "A tensor's shape and element type do not give the bytes that it claims.",
  E_SAFETENSORS_OVERFLOW: "A tensor's shape has more elements than any memory holds.",
  E_SAFETENSORS_INCOMPLETE: 'The tensors do not cover the file exactly: the download is incomplete, or something was appended.',
  E_SAFETENSORS_INDEX: 'model.safetensors.index.json and the files beside it do not agree: fetch all shards again.',

  E_GGUF_MAGIC: 'The file does not begin with GGUF.',
  E_GGUF_VERSION: 'Versions 2 and 3 of GGUF in little-endian order are read.',
  E_GGUF_TRUNCATED: 'A count or length goes beyond the end of the file: the download is incomplete.',
  E_GGUF_TOO_LARGE: 'A count, length or offset is beyond what a file can have.',
  E_GGUF_UTF8: 'A key or name is not UTF-8: the file is damaged.',
  E_GGUF_METADATA: 'A metadata value has an unknown type or one that its key does not allow.',
  E_GGUF_DUPLICATE: 'A key or a tensor name stands in the file twice.',
  E_GGUF_TYPE: 'A tensor has a storage type that is not known.',
  E_GGUF_DIMS: "A tensor's sizes are not whole blocks of its storage type, or more than can be counted.",
  E_GGUF_OFFSET: 'A tensor lies outside the file or off its alignment: the download is incomplete.',
  E_GGUF_OVERLAP: 'Two tensors share bytes: the file is damaged or made to mislead.',

  E_LLAMA2C_HEADER: "The header's sizes make no model.",
  E_LLAMA2C_VERSION: "Versions 0 and 1 of llama2.c's format are read; its int8 export (2) is not.",
  E_LLAMA2C_SIZE: 'The file is longer or shorter than its header says: the download is incomplete.',

  E_TOKENIZER_NOT_FOUND: 'There is no tokenizer in the file or folder.',
  E_TOKENIZER_KIND: 'This kind of tokenizer (RWKV, word level) is not supported, only BPE, WordPiece and unigram models.',
  E_TOKENIZER_SIZE: 'The file is too large for a tokenizer.',
  E_TOKENIZER_SPLIT:
    'The rule by which the tokenizer cuts text into words is not known here. A similar rule would give plausible but wrong ids, so none is taken in its place.',
  E_TOKENIZER_JSON:
    'tokenizer.json, tokenizer_config.json, vocab.json or vocab.txt does not have the right shape, or asks for a step that is not known here.',
  E_TOKENIZER_MERGES: 'merges.txt holds a line that is not a pair.',
  E_TOKENIZER_SENTENCEPIECE: 'tokenizer.model is no SentencePiece model, or damaged.',
  E_TOKENIZER_BIN: 'tokenizer.bin (or the vocabulary in a llama2.ts file) is damaged, or no tokenizer.',
  E_TOKENIZER_GGUF: 'The tokenizer keys of the GGUF disagree with each other or have wrong types.',
} as const

export type CompilerCode = keyof typeof compilerCodes

/** What follows a prefix in the codes of one container. */
export type CodeAfter<Prefix extends string, Code = CompilerCode> = Code extends `${Prefix}${infer Rest}` ? Rest : never

declare module '../runtime/error.ts' {
  interface ErrorCodeTables {
    compiler: CompilerCode
  }
}
