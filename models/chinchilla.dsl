module chinchilla

import gpt2          { GPT2, GPT2Config, LayerNorm, Attention }
import marian        { sines_then_cosines }
import std.nn        { rms_norm }
import std.attention { attend, causal }

// Rae et al. 2021 (Gopher), section 2.1: GPT-2 but for RMSNorm and the relative positions of Transformer-XL (Dai et al. 2019);
// Hoffmann et al. 2022 made Chinchilla of it.
config ChinchillaConfig extends GPT2Config {
  vocab = 32000   ctx = 2048   embed = 8192   depth = 80   heads = 64
}

block Norm extends LayerNorm {
  drop bias
  override fn forward(x: real[..b, embed]) -> real[..b, embed] { return rms_norm(x, gain, eps: norm_eps) }
}

/// Scores are (q + u)·k + (q + v)·r, where r is what the layer makes of the sines of the distance between query and key.
block RelativeAttention extends Attention {
  weight wr: [heads, head_dim, embed]
  weight qu: [heads, head_dim]
  weight qv: [heads, head_dim]
  state far: real[ctx, heads, head_dim]  // r by distance, which is never more than the last position read
  override fn look(q: real[seq, heads, head_dim], k: real[t, heads, head_dim], v: real[t, heads, head_dim],
                   qpos: i32[seq], kpos: i32[t]) -> real[seq, heads, head_dim] {
    let by_distance = f32(dot(q + qv, rename(far[ctx: 0 ..+ t], ctx -> away), over: head_dim))
    let distance    = max(expand(qpos, [seq, t]) - kpos, 0)
    return attend(q + qu, k, v, mask: causal(qpos, kpos), bias: by_distance[away: distance] * rsqrt(head_dim))
  }
  override fn forward(x: real[seq, embed], start: index) -> real[seq, embed] {
    let waves = rename(sines_then_cosines(start + iota(seq), embed), n -> embed)
    store far[ctx: start ..+ seq] = dot(real(waves), wr, over: embed)
    return super(x, start)
  }
}

model Chinchilla extends GPT2 uses ChinchillaConfig {
  drop places_table
  replace LayerNorm with Norm
  replace Attention with RelativeAttention
  override fn embed_tokens(tokens: i32[seq], start: index) -> real[seq, embed] { return tokens_table[tokens] }
  // No checkpoint was published: GPT-2's names, with Transformer-XL's for what it brings.
  checkpoint hf {
    inherit hf
    layers[i].attn.wr <- "transformer.?h.{i}.attn.r_net.weight"
    layers[i].attn.qu <- "transformer.?h.{i}.attn.r_w_bias"
    layers[i].attn.qv <- "transformer.?h.{i}.attn.r_r_bias"
    expect "model_type" = "chinchilla"
  }
  preset "70B"         { }
  preset "gopher-44M"  { embed = 512  depth = 8  heads = 16 }
  preset "gopher-117M" { embed = 768  depth = 12  heads = 12 }
  preset "gopher-417M" { embed = 1536  depth = 12  heads = 12 }
  preset "gopher-1.4B" { embed = 2048  depth = 24  heads = 16 }
  preset "gopher-7.1B" { embed = 4096  depth = 32  heads = 32 }
  preset "gopher-280B" { embed = 16384  heads = 128 }
}
