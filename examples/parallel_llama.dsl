module examples.parallel_llama

import llama    { Llama, LlamaConfig, RMSNorm, Attention, Layer }
import std.nn   { layer_norm }
import std.rope { rope, rope_part }

config ParallelConfig extends LlamaConfig {
  norm_eps = 1e-5 @hf("layer_norm_eps")
  share: float = 0.25 @hf("rope_parameters.partial_rotary_factor", "partial_rotary_factor")
  turned: dim = floor(head_dim * share)
}

block BiasedNorm extends RMSNorm {
  weight bias: [embed] @precision(f32)
  override fn forward(x: real[..b, embed]) -> real[..b, embed] { return layer_norm(x, gain, bias, eps: norm_eps) }
}

/// Attention and feed-forward read the same normalised input.
block ParallelLayer extends Layer {
  drop mlp_norm
  override fn forward(x: real[seq, embed], start: index) -> real[seq, embed] {
    let n = attn_norm(x)
    return x + attn(n, start) + mlp(n)
  }
}

model ParallelLlama extends Llama uses ParallelConfig {
  replace RMSNorm with BiasedNorm
  replace Layer with ParallelLayer
  replace rope with rope_part(rot: turned) in Attention
  checkpoint hf {
    inherit hf
    out_norm.bias            <- "model.norm.bias"
    layers[i].attn_norm.bias <- "model.layers.{i}.input_layernorm.bias"
    expect "model_type"            = "stablelm"
    expect "use_parallel_residual" = true
    expect "qk_layernorm"          = false
    expect "use_qkv_bias"          = false
  }
}
