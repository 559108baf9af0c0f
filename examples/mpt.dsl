module examples.mpt

import llama         { Llama, LlamaConfig, RMSNorm, Attention, MLP }
import std.nn        { layer_norm, gelu }
import std.attention { attend }

config MPTConfig extends LlamaConfig {
  vocab = 50432   embed = 4096 @hf("d_model")   depth = 32 @hf("n_layers")   heads = 32 @hf("n_heads")
  ctx = 2048 @hf("max_seq_len")   norm_eps = 1e-5 @hf("layer_norm_epsilon")   tie = true
  ffn = 4 * embed
}

block CentredNorm extends RMSNorm {
  override fn forward(x: real[..b, embed]) -> real[..b, embed] { return layer_norm(x, gain, eps: norm_eps) }
}

block NearAttention extends Attention uses MPTConfig {
  /// ALiBi: a key counts less the further away it is, in each head by another slope (the number of heads is a power of two).
  fn nearness(pos: i32[s], key_pos: i32[t]) -> f32[s, heads, t] {
    return expand(f32(expand(key_pos, [s, t]) - pos), [s, heads, t]) * pow(2.0, f32(iota(heads) + 1) * (-8.0 / heads))
  }
  override fn forward(x: real[seq, embed], start: index) -> real[seq, embed] {
    let pos  = start + iota(seq)
    let seen = start + seq
    store keys[ctx: start ..+ seq]   = key(x)
    store values[ctx: start ..+ seq] = value(x)
    let mix = attend(query(x), keys[ctx: 0 ..+ seen], values[ctx: 0 ..+ seen],
                     mask: sees(pos, iota(ctx = seen)), bias: nearness(pos, iota(ctx = seen)))
    return dot(mix, wo, over: [heads, head_dim])
  }
}

block PlainMLP extends MLP {
  drop gate
  override fn forward(x: real[seq, embed]) -> real[seq, embed] { return dot(gelu(dot(x, up, over: embed)), down, over: width) }
}

model MPT extends Llama uses MPTConfig {
  replace RMSNorm with CentredNorm
  replace Attention with NearAttention
  replace MLP with PlainMLP
  checkpoint hf {
    embedding                <- "transformer.wte.weight"
    out_norm.gain            <- "transformer.norm_f.weight"
    layers[i].attn_norm.gain <- "transformer.blocks.{i}.norm_1.weight"
    layers[i].attn.wq, layers[i].attn.wk, layers[i].attn.wv <- "transformer.blocks.{i}.attn.Wqkv.weight" |> chunk
    layers[i].attn.wo        <- "transformer.blocks.{i}.attn.out_proj.weight"
    layers[i].mlp_norm.gain  <- "transformer.blocks.{i}.norm_2.weight"
    layers[i].mlp.up         <- "transformer.blocks.{i}.ffn.up_proj.weight"
    layers[i].mlp.down       <- "transformer.blocks.{i}.ffn.down_proj.weight"
    expect "model_type" = "mpt"
  }
}
