module t5

import std.nn        { rms_norm, relu }
import std.attention { attend, causal }

config T5Config {
  vocab:         dim   = 32128 @hf("vocab_size")                     @gguf("{arch}.vocab_size", "tokenizer.ggml.tokens.length")
  embed:         dim   = 512   @hf("d_model")                        @gguf("{arch}.embedding_length")
  depth:         dim   = 6     @hf("num_layers")                     @gguf("{arch}.block_count")
  decoder_depth: dim   = depth @hf("num_decoder_layers")             @gguf("{arch}.decoder_block_count")
  heads:         dim   = 8     @hf("num_heads")                      @gguf("{arch}.attention.head_count")
  head_dim:      dim   = 64    @hf("d_kv")                           @gguf("{arch}.attention.key_length")
  ffn:           dim   = 2048  @hf("d_ff")                           @gguf("{arch}.feed_forward_length")
  buckets:       dim   = 32    @hf("relative_attention_num_buckets") @gguf("{arch}.attention.relative_buckets_count")
  far:           dim   = 128   @hf("relative_attention_max_distance")
  norm_eps:      float = 1e-6  @hf("layer_norm_epsilon")             @gguf("{arch}.attention.layer_norm_rms_epsilon")
  tie:           bool  = true
  // transformers 4 scales where it ties, and says so by `tie_word_embeddings`.
  scaled: bool = tie @hf("scale_decoder_outputs", "tie_word_embeddings")
  // Nothing in the model bounds a text; these are the lengths that it was trained on.
  src_max: dim = 512 @hf("n_positions") @gguf("{arch}.context_length")
  ctx:     dim = 512 @hf("n_positions") @gguf("{arch}.context_length")
  require buckets % 4 == 0, "buckets ({buckets}) are halved twice"
}

/// The bucket of a distance: half of them hold one distance each, the rest grow like a logarithm and end at `far`.
op bucket(distance: i32[n], count: dim, far: dim) -> i32[n]
  require 2 * far > count, "the furthest bucket ({far}) lies among those of one distance"
{
  let near = count / 2
  // Powers (16, 32, 64) lie on the edge of a bucket: the sum keeps rounding of the logarithm from losing them.
  let step = floor(log(max(f32(distance), near) / near) * (near / log(far / near)) + 0.00001)
  return where(distance < near, distance, near + min(i32(step), near - 1))
}

/// How far each key lies ahead of each query.
op ahead(q: i32[s], k: i32[t]) -> i32[s, t] { return k - expand(q, [s, t]) }

block Norm uses T5Config {
  weight gain: [embed] @precision(f32)
  fn forward(x: real[..b, embed]) -> real[..b, embed] { return rms_norm(x, gain, eps: norm_eps) }
}

block FFN uses T5Config {
  weight w1: [ffn, embed]
  weight w2: [embed, ffn]
  fn forward(x: real[s, embed]) -> real[s, embed] { return dot(relu(dot(x, w1, over: embed)), w2, over: ffn) }
}

/// Scores are not scaled: the first values of `wq` take care of that.
block Attention uses T5Config {
  weight wq: [heads, head_dim, embed]
  weight wk: [heads, head_dim, embed]
  weight wv: [heads, head_dim, embed]
  weight wo: [embed, heads, head_dim]
  fn query(x: real[s, embed]) -> real[s, heads, head_dim] { return dot(x, wq, over: embed) }
  fn key(x: real[s, embed])   -> real[s, heads, head_dim] { return dot(x, wk, over: embed) }
  fn value(x: real[s, embed]) -> real[s, heads, head_dim] { return dot(x, wv, over: embed) }
  fn finish(mix: real[s, heads, head_dim]) -> real[s, embed] { return dot(mix, wo, over: [heads, head_dim]) }
}

block SelfEncode extends Attention {
  fn forward(x: real[src, embed], bias: f32[src, heads, key = src]) -> real[src, embed] {
    let y = rename(x, src -> key)
    return finish(attend(query(x), key(y), value(y), mask: expand(true, [src, key = src]), scale: 1.0, bias: bias))
  }
}

block SelfDecode extends Attention {
  state keys:   real[ctx, heads, head_dim]
  state values: real[ctx, heads, head_dim]
  fn forward(x: real[seq, embed], start: index, bias: f32[seq, heads, ctx = start + seq]) -> real[seq, embed] {
    store keys[ctx: start ..+ seq]   = key(x)
    store values[ctx: start ..+ seq] = value(x)
    let seen = start + seq
    return finish(attend(query(x), keys[ctx: 0 ..+ seen], values[ctx: 0 ..+ seen],
                         mask: causal(start + iota(seq), iota(ctx = seen)), scale: 1.0, bias: bias))
  }
}

/// Keys and values of the source are computed once, by `remember`, and kept. Places do not matter here.
block Cross extends Attention {
  state keys:   real[src_max, heads, head_dim]
  state values: real[src_max, heads, head_dim]
  fn remember(memory: real[src, embed]) {
    store keys[src_max: 0 ..+ src]   = key(memory)
    store values[src_max: 0 ..+ src] = value(memory)
  }
  fn forward(x: real[seq, embed], src_len: index) -> real[seq, embed] {
    return finish(attend(query(x), keys[src_max: 0 ..+ src_len], values[src_max: 0 ..+ src_len],
                         mask: expand(true, [seq, src_max = src_len]), scale: 1.0))
  }
}

block EncoderLayer uses T5Config {
  part ln1: Norm()   part attn: SelfEncode()   part ln2: Norm()   part ffn_: FFN()
  fn forward(x: real[src, embed], bias: f32[src, heads, key = src]) -> real[src, embed] {
    let h = x + attn(ln1(x), bias)
    return h + ffn_(ln2(h))
  }
}

block DecoderLayer uses T5Config {
  part ln1: Norm()   part attn: SelfDecode()   part ln2: Norm()   part cross: Cross()   part ln3: Norm()   part ffn_: FFN()
  fn forward(y: real[seq, embed], start: index, src_len: index, bias: f32[seq, heads, ctx = start + seq]) -> real[seq, embed] {
    let a = y + attn(ln1(y), start, bias)
    let b = a + cross(ln2(a), src_len)
    return b + ffn_(ln3(b))
  }
}

model T5 uses T5Config {
  weight table:   [vocab, embed]
  weight lm_head: [vocab, embed] tied table when tie
  // What a distance adds to the scores, for all layers.
  weight encoder_bias: [buckets, heads]
  weight decoder_bias: [buckets, heads]
  part encoder[i < depth]: EncoderLayer()
  part encoder_norm: Norm()
  part decoder[i < decoder_depth]: DecoderLayer()
  part decoder_norm: Norm()

  fn reach(by_bucket: real[buckets, heads], which: i32[s, t]) -> f32[s, heads, t] {
    return f32(order(by_bucket[which], [s, heads, t]))
  }
  fn hidden(target: i32[seq], start: index, src_len: index) -> real[seq, embed] {
    let seen = start + seq
    let back = max(0 - ahead(start + iota(seq), iota(ctx = seen)), 0)
    let bias = reach(decoder_bias, bucket(iota(d = ctx), buckets, far)[d: back])
    let y = table[target]
    for layer in decoder { y = layer(y, start, src_len, bias) }
    // What is shared with the input is too large for the output by the square root of the width.
    return if scaled { decoder_norm(y) * real(rsqrt(embed)) } else { decoder_norm(y) }
  }
  fn logits(h: real[..b, embed]) -> f32[..b, vocab] { return f32(dot(h, lm_head, over: embed)) }

  /// Reads the source text; what the decoder needs of it is kept.
  entry encode(source: i32[src]) {
    let away = ahead(iota(src), iota(key = src))
    let side = bucket(iota(d = src), buckets / 2, far)[d: abs(away)]
    let bias = reach(encoder_bias, where(away > 0, side + buckets / 2, side))
    let x = table[source]
    for layer in encoder { x = layer(x, bias) }
    let memory = encoder_norm(x)
    for layer in decoder { layer.cross.remember(memory) }
  }
  /// Reads `seq` tokens of the target after `encode`; gives the scores of the next one. It begins with the id of padding, 0.
  entry prefill(target: i32[seq], start: index, src_len: index) -> f32[vocab] {
    return logits(hidden(target, start, src_len)[seq: seq - 1])
  }
  entry decode = prefill with seq = 1
  entry score(target: i32[seq], start: index, src_len: index) -> f32[seq, vocab] { return logits(hidden(target, start, src_len)) }

  checkpoint hf {
    table               <- "shared.weight"
    lm_head             <- "lm_head.weight"
    encoder_bias        <- "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    decoder_bias        <- "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    encoder_norm.gain   <- "encoder.final_layer_norm.weight"
    decoder_norm.gain   <- "decoder.final_layer_norm.weight"
    encoder[i].ln1.gain <- "encoder.block.{i}.layer.0.layer_norm.weight"
    encoder[i].attn.wq  <- "encoder.block.{i}.layer.0.SelfAttention.q.weight"
    encoder[i].attn.wk  <- "encoder.block.{i}.layer.0.SelfAttention.k.weight"
    encoder[i].attn.wv  <- "encoder.block.{i}.layer.0.SelfAttention.v.weight"
    encoder[i].attn.wo  <- "encoder.block.{i}.layer.0.SelfAttention.o.weight"
    encoder[i].ln2.gain <- "encoder.block.{i}.layer.1.layer_norm.weight"
    encoder[i].ffn_.w1  <- "encoder.block.{i}.layer.1.DenseReluDense.wi.weight"
    encoder[i].ffn_.w2  <- "encoder.block.{i}.layer.1.DenseReluDense.wo.weight"
    decoder[i].ln1.gain <- "decoder.block.{i}.layer.0.layer_norm.weight"
    decoder[i].attn.wq  <- "decoder.block.{i}.layer.0.SelfAttention.q.weight"
    decoder[i].attn.wk  <- "decoder.block.{i}.layer.0.SelfAttention.k.weight"
    decoder[i].attn.wv  <- "decoder.block.{i}.layer.0.SelfAttention.v.weight"
    decoder[i].attn.wo  <- "decoder.block.{i}.layer.0.SelfAttention.o.weight"
    decoder[i].ln2.gain <- "decoder.block.{i}.layer.1.layer_norm.weight"
    decoder[i].cross.wq <- "decoder.block.{i}.layer.1.EncDecAttention.q.weight"
    decoder[i].cross.wk <- "decoder.block.{i}.layer.1.EncDecAttention.k.weight"
    decoder[i].cross.wv <- "decoder.block.{i}.layer.1.EncDecAttention.v.weight"
    decoder[i].cross.wo <- "decoder.block.{i}.layer.1.EncDecAttention.o.weight"
    decoder[i].ln3.gain <- "decoder.block.{i}.layer.2.layer_norm.weight"
    decoder[i].ffn_.w1  <- "decoder.block.{i}.layer.2.DenseReluDense.wi.weight"
    decoder[i].ffn_.w2  <- "decoder.block.{i}.layer.2.DenseReluDense.wo.weight"
    ignore "encoder.embed_tokens.weight"
    ignore "decoder.embed_tokens.weight"
    // The first published files hold a table that nothing reads.
    ignore "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    expect "model_type"         = "t5"
    expect "is_encoder_decoder" = true
    expect "feed_forward_proj"  = "relu"
    expect "dense_act_fn"       = "relu"
    expect "is_gated_act"       = false
  }
  checkpoint gguf("t5") {
    table               <- "token_embd.weight"
    lm_head             <- "output.weight"
    encoder_bias        <- "enc.blk.0.attn_rel_b.weight"
    decoder_bias        <- "dec.blk.0.attn_rel_b.weight"
    encoder_norm.gain   <- "enc.output_norm.weight"
    decoder_norm.gain   <- "dec.output_norm.weight"
    encoder[i].ln1.gain <- "enc.blk.{i}.attn_norm.weight"
    encoder[i].attn.wq  <- "enc.blk.{i}.attn_q.weight"
    encoder[i].attn.wk  <- "enc.blk.{i}.attn_k.weight"
    encoder[i].attn.wv  <- "enc.blk.{i}.attn_v.weight"
    encoder[i].attn.wo  <- "enc.blk.{i}.attn_o.weight"
    encoder[i].ln2.gain <- "enc.blk.{i}.ffn_norm.weight"
    encoder[i].ffn_.w1  <- "enc.blk.{i}.ffn_up.weight"
    encoder[i].ffn_.w2  <- "enc.blk.{i}.ffn_down.weight"
    decoder[i].ln1.gain <- "dec.blk.{i}.attn_norm.weight"
    decoder[i].attn.wq  <- "dec.blk.{i}.attn_q.weight"
    decoder[i].attn.wk  <- "dec.blk.{i}.attn_k.weight"
    decoder[i].attn.wv  <- "dec.blk.{i}.attn_v.weight"
    decoder[i].attn.wo  <- "dec.blk.{i}.attn_o.weight"
    decoder[i].ln2.gain <- "dec.blk.{i}.cross_attn_norm.weight"
    decoder[i].cross.wq <- "dec.blk.{i}.cross_attn_q.weight"
    decoder[i].cross.wk <- "dec.blk.{i}.cross_attn_k.weight"
    decoder[i].cross.wv <- "dec.blk.{i}.cross_attn_v.weight"
    decoder[i].cross.wo <- "dec.blk.{i}.cross_attn_o.weight"
    decoder[i].ln3.gain <- "dec.blk.{i}.ffn_norm.weight"
    decoder[i].ffn_.w1  <- "dec.blk.{i}.ffn_up.weight"
    decoder[i].ffn_.w2  <- "dec.blk.{i}.ffn_down.weight"
    ignore "dec.blk.0.cross_attn_rel_b.weight"
  }
  preset "small" { }
  preset "base"  { embed = 768  depth = 12  heads = 12  ffn = 3072 }
  preset "large" { embed = 1024  depth = 24  heads = 16  ffn = 4096 }
  preset "3B"    { embed = 1024  depth = 24  heads = 32  head_dim = 128  ffn = 16384 }
  preset "11B"   { embed = 1024  depth = 24  heads = 128  head_dim = 128  ffn = 65536 }
}
