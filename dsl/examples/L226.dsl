module mine

import std.nn { softmax }

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  fn f(x: real[seq, embed]) -> real[seq, embed] {
    return x * softmax(f32(x), over: embed)
  }
}
//! right
module mine

import std.nn { softmax }

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  fn f(x: real[seq, embed]) -> real[seq, embed] {
    return x * real(softmax(f32(x), over: embed))
  }
}
