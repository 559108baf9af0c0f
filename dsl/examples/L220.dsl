module mine

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  fn outer(a: real[s], b: real[t]) -> real[s, t] {
    return a * b
  }
}
//! right
module mine

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  fn outer(a: real[s], b: real[t]) -> real[s, t] {
    return expand(a, [s, t]) * b
  }
}
