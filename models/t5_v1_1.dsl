module t5_v1_1

import t5     { T5, T5Config, FFN }
import std.nn { gelu_tanh }

config T5v11Config extends T5Config {
  ffn = 1024   depth = 8   heads = 6   tie = false
}

block GatedFFN extends FFN {
  weight gate: [ffn, embed]
  override fn forward(x: real[s, embed]) -> real[s, embed] {
    return dot(gelu_tanh(dot(x, gate, over: embed)) * dot(x, w1, over: embed), w2, over: ffn)
  }
}

/// T5 version 1.1, Flan-T5 and mT5: a gate in the feed-forward part, an output matrix of its own.
model T5v11 extends T5 uses T5v11Config {
  replace FFN with GatedFFN
  checkpoint hf {
    inherit hf
    encoder[i].ffn_.gate <- "encoder.block.{i}.layer.1.DenseReluDense.wi_0.weight"
    encoder[i].ffn_.w1   <- "encoder.block.{i}.layer.1.DenseReluDense.wi_1.weight"
    decoder[i].ffn_.gate <- "decoder.block.{i}.layer.2.DenseReluDense.wi_0.weight"
    decoder[i].ffn_.w1   <- "decoder.block.{i}.layer.2.DenseReluDense.wi_1.weight"
    expect "model_type"        = ["t5", "mt5"]
    expect "feed_forward_proj" = "gated-gelu"
    expect "dense_act_fn"      = "gelu_new"
    expect "is_gated_act"      = true
  }
  checkpoint gguf("t5") {
    inherit gguf("t5")
    encoder[i].ffn_.gate <- "enc.blk.{i}.ffn_gate.weight"
    decoder[i].ffn_.gate <- "dec.blk.{i}.ffn_gate.weight"
  }
  preset "small" { }
  preset "base"  { embed = 768  depth = 12  heads = 12  ffn = 2048 }
  preset "large" { embed = 1024  depth = 24  heads = 16  ffn = 2816 }
  preset "xl"    { embed = 2048  depth = 24  heads = 32  ffn = 5120 }
  preset "xxl"   { embed = 4096  depth = 24  heads = 64  ffn = 10240 }
}
