module mine

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  fn f(x: real[seq, embed]) -> real[embed] {
    return x[seq: 0.5]
  }
}
//! right
module mine

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  fn f(x: real[seq, embed]) -> real[embed] {
    return x[seq: 0]
  }
}
