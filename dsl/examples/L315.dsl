module mine

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  weight table: [ctx, embed]
  fn remember(x: real[seq, embed], start: index) {
    store table[ctx: start ..+ seq] = x
  }
}
//! right
module mine

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  state table: real[ctx, embed]
  fn remember(x: real[seq, embed], start: index) {
    store table[ctx: start ..+ seq] = x
  }
}
