// The compact form of every tokenizer: what the compiler writes beside the weights (tokenizer.json of an artifact) and the
// runtime executes in linear time. Importers for llama2.c, GGUF and Hugging Face live in compiler/weights.

export interface CompactTokenizer {
  readonly version: 1
  /** 'spm': SentencePiece BPE by scores with byte fallback. 'bpe': byte-level BPE by merge ranks. */
  readonly kind: 'spm' | 'bpe'
  /** Token text by id. For 'bpe' in GPT-2's byte alphabet. */
  readonly pieces: readonly string[]
  /** 'spm': score of each id (a merge with the highest score goes first). */
  readonly scores?: readonly number[]
  /** 'bpe': merges in order of rank, each `left right`. */
  readonly merges?: readonly string[]
  /** 'bpe': name of the pre-tokenizer's splitting rule ('gpt2', 'llama3', 'smollm', 'qwen2' …). */
  readonly split?: string
  /** Ids that never come from text and are not shown: BOS, EOS, unknown, control tokens. */
  readonly special: readonly number[]
  /** 'spm': ids of the 256 byte tokens, in order; empty when there are none. */
  readonly bytes: readonly number[]
  readonly bos?: number
  readonly eos?: number
  readonly unknown?: number
  readonly addBos: boolean
  /** 'spm': a space is put before the text ('▁' is the space inside pieces). */
  readonly addPrefixSpace: boolean
}
