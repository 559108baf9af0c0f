module mine

import std.nn { rms_norm }

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  weight gain: [embed]
  fn f(x: real[seq, embed]) -> real[seq, embed] { return rms_norm(x, gain, epsilon: 1e-6) }
}
//! right
module mine

import std.nn { rms_norm }

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  weight gain: [embed]
  fn f(x: real[seq, embed]) -> real[seq, embed] { return rms_norm(x, gain, eps: 1e-6) }
}
