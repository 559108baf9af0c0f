module mine

import std.attention { causal }

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  fn f(pos: i32[seq]) -> bool[seq, k = seq] { return causal(pos, pos) }
}
//! right
module mine

import std.attention { causal }

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  fn f(pos: i32[seq]) -> bool[seq, k = seq] { return causal(pos, rename(pos, seq -> k)) }
}
