module mine

import llama { Llama, LlamaConfig }

model M extends Llama uses LlamaConfig {
  override fn embed_token(tokens: i32[seq]) -> real[seq, embed] { return super(tokens) * 2.0 }
}
//! right
module mine

import llama { Llama, LlamaConfig }

model M extends Llama uses LlamaConfig {
  override fn embed_tokens(tokens: i32[seq]) -> real[seq, embed] { return super(tokens) * 2.0 }
}
