module examples.olmo2

import llama  { Llama, LlamaConfig, Attention, Layer }
import std.nn { rms_norm }

config Olmo2Config extends LlamaConfig { vocab = 100352   ctx = 4096   theta = 500000.0 }

/// Queries and keys are normalised over all heads together, before they are turned.
block NormedAttention extends Attention uses Olmo2Config {
  weight q_gain: [width = heads * head_dim]       @precision(f32)
  weight k_gain: [kv_width = kv_heads * head_dim] @precision(f32)
  override fn query(x: real[seq, embed]) -> real[seq, heads, head_dim] {
    let q = merge(super(x), (heads, head_dim) -> width)
    return split(rms_norm(q, q_gain, eps: norm_eps), width -> (heads, head_dim))
  }
  override fn key(x: real[seq, embed]) -> real[seq, kv_heads, head_dim] {
    let k = merge(super(x), (kv_heads, head_dim) -> kv_width)
    return split(rms_norm(k, k_gain, eps: norm_eps), kv_width -> (kv_heads, head_dim))
  }
}

/// The norms come after attention and feed-forward, still inside the residual.
block PostNormLayer extends Layer {
  override fn forward(x: real[seq, embed], start: index) -> real[seq, embed] {
    let h = x + attn_norm(attn(x, start))
    return h + mlp_norm(mlp(h))
  }
}

model Olmo2 extends Llama uses Olmo2Config {
  replace Attention with NormedAttention   replace Layer with PostNormLayer
  checkpoint hf {
    inherit hf
    layers[i].attn.q_gain    <- "model.layers.{i}.self_attn.q_norm.weight"
    layers[i].attn.k_gain    <- "model.layers.{i}.self_attn.k_norm.weight"
    layers[i].attn_norm.gain <- "model.layers.{i}.post_attention_layernorm.weight"
    layers[i].mlp_norm.gain  <- "model.layers.{i}.post_feedforward_layernorm.weight"
    expect "model_type" = "olmo2"
  }
}
