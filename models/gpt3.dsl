module gpt3

import gpt2          { GPT2, GPT2Config, Attention, Layer }
import std.attention { attend, sliding }

// Brown et al. 2020, section 2.1: GPT-2 with a context of 2048 whose layers alternate dense and locally banded attention, the dense
// ones first. The paper gives no width of the band: 256, as GPT-Neo has it, which was built to reproduce GPT-3.
config GPT3Config extends GPT2Config {
  ctx = 2048
  band: int = 256 @hf("window_size")
}

/// Looks at every position before its own without a band, with one at its own and the band - 1 before it.
block BandedAttention(band: int?) extends Attention {
  override fn look(q: real[seq, heads, head_dim], k: real[t, heads, head_dim], v: real[t, heads, head_dim],
                   qpos: i32[seq], kpos: i32[t]) -> real[seq, heads, head_dim] {
    return attend(q, k, v, mask: sliding(qpos, kpos, band))
  }
}

block BandedLayer(band: int?) extends Layer {
  override part attn: BandedAttention(band: band)
}

model GPT3 extends GPT2 uses GPT3Config {
  override part layers[i < depth]: BandedLayer(band: if i % 2 == 0 { none } else { band })
  checkpoint hf {
    inherit hf
    // The names and shapes are GPT-2's, whose weights would run here and give wrong scores.
    expect "model_type" = "gpt3"
  }
  checkpoint gguf("gpt2") {
    inherit gguf("gpt2")
    expect "general.architecture" = "gpt3"
  }
  // Table 2.1. Its XL says 24 heads of 128 in a width of 2048, its 13B a width of 5140: heads times their size are the width here.
  preset "125M" { }
  preset "350M" { embed = 1024  depth = 24  heads = 16 }
  preset "760M" { embed = 1536  depth = 24  heads = 16 }
  preset "1.3B" { embed = 2048  depth = 24  heads = 16 }
  preset "2.7B" { embed = 2560  depth = 32  heads = 32 }
  preset "6.7B" { embed = 4096  depth = 32  heads = 32 }
  preset "13B"  { embed = 5120  depth = 40  heads = 40 }
  preset "175B" { embed = 12288  depth = 96  heads = 96 }
}
