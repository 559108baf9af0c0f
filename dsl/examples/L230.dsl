module mine

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  fn f(x: real[heads, seq, head_dim]) -> real[seq, embed = heads * head_dim] {
    return merge(x, (heads, head_dim) -> embed)
  }
}
//! right
module mine

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  fn f(x: real[heads, seq, head_dim]) -> real[seq, embed = heads * head_dim] {
    return merge(order(x, [seq, heads, head_dim]), (heads, head_dim) -> embed)
  }
}
