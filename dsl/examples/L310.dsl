module mine

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  state keys: real[ctx, heads, head_dim]
  fn remember(k: real[seq, kv_heads, head_dim], start: index) {
    store keys[ctx: start ..+ seq] = k
  }
}
//! right
module mine

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  state keys: real[ctx, kv_heads, head_dim]
  fn remember(k: real[seq, kv_heads, head_dim], start: index) {
    store keys[ctx: start ..+ seq] = k
  }
}
