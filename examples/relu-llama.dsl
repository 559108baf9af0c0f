module examples.relu_llama

import llama  { Llama, LlamaConfig, MLP, RMSNorm }
import std.nn { layer_norm, relu, silu }

block CentredNorm uses LlamaConfig {  // takes the mean off too; still no bias
  weight gain: [embed] @precision(f32)
  fn forward(x: real[..b, embed]) -> real[..b, embed] { return layer_norm(x, gain, eps: norm_eps) }
}

model ReluLlama extends Llama {
  replace silu with relu in MLP
  replace RMSNorm with CentredNorm
  preset "tiny" { vocab = 256  embed = 64  depth = 2  heads = 4  kv_heads = 2  ffn = 172  ctx = 128 }
}
