module palm

import llama  { Llama, LlamaConfig, RMSNorm, Layer }
import std.nn { layer_norm }

// Chowdhery et al. 2022, section 2: attention and feed-forward side by side, one head of keys and values, no biases.
config PaLMConfig extends LlamaConfig {
  vocab = 256000   heads = 16   kv_heads = 1   head_dim = 256   ffn = 4 * embed   tie = true
}

block PlainLayerNorm extends RMSNorm {
  override fn forward(x: real[..b, embed]) -> real[..b, embed] { return layer_norm(x, gain, eps: norm_eps) }
}

block ParallelLayer extends Layer {
  drop mlp_norm
  override fn forward(x: real[seq, embed], start: index) -> real[seq, embed] {
    let n = attn_norm(x)
    return x + attn(n, start) + mlp(n)
  }
}

model PaLM extends Llama uses PaLMConfig {
  replace RMSNorm with PlainLayerNorm
  replace Layer with ParallelLayer
  // Section 5: the shared embedding is drawn from N(0, 1) and read as it is; the scores are divided by the root of the width.
  override fn logits(h: real[..b, embed]) -> f32[..b, vocab] { return super(h) * rsqrt(embed) }
  // No checkpoint was published: the names are LLaMA's.
  checkpoint hf {
    inherit hf
    expect "model_type" = "palm"
  }
  preset "8B"   { }
  preset "62B"  { embed = 8192  depth = 64  heads = 32 }
  preset "540B" { embed = 18432  depth = 118  heads = 48 }
}
