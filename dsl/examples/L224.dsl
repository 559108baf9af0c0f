module mine

import std.attention { attend, causal }

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  state keys:   real[ctx, heads, head_dim]
  state values: real[ctx, heads, head_dim]
  fn f(q: real[seq, heads, head_dim], start: index) -> real[seq, heads, head_dim] {
    let pos  = start + iota(seq)
    let seen = start + seq
    return attend(q, keys[ctx: 0 ..+ seen], values[ctx: 0 ..+ seen],
                  mask: causal(pos, iota(ctx = seq)))
  }
}
//! right
module mine

import std.attention { attend, causal }

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  state keys:   real[ctx, heads, head_dim]
  state values: real[ctx, heads, head_dim]
  fn f(q: real[seq, heads, head_dim], start: index) -> real[seq, heads, head_dim] {
    let pos  = start + iota(seq)
    let seen = start + seq
    return attend(q, keys[ctx: 0 ..+ seen], values[ctx: 0 ..+ seen],
                  mask: causal(pos, iota(ctx = seen)))
  }
}
