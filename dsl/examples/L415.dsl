module mine

import llama { Llama, LlamaConfig, MLP }

block Pooled uses LlamaConfig {
  fn forward(x: real[seq, embed]) -> real[embed] { return mean(x, over: seq) }
}

model M extends Llama uses LlamaConfig {
  replace MLP with Pooled
}
//! right
module mine

import llama { Llama, LlamaConfig, MLP }

block Pooled uses LlamaConfig {
  fn forward(x: real[seq, embed]) -> real[seq, embed] { return x - mean(x, over: seq) }
}

model M extends Llama uses LlamaConfig {
  replace MLP with Pooled
}
