module mine

config C { heads: dim = 4  head_dim: dim = 16  embed: dim = heads * head_dim }

block B uses C {
  fn scaled(x: real[seq, embed]) -> real[seq, embed] { return x * 2.0 }
  fn f(x: real[seq, heads, head_dim]) -> real[seq, heads, head_dim] {
    let flat = merge(x, (heads, head_dim) -> inner)
    return split(scaled(flat), inner -> (heads, head_dim))
  }
}
//! right
module mine

config C { heads: dim = 4  head_dim: dim = 16  embed: dim = heads * head_dim }

block B uses C {
  fn scaled(x: real[seq, inner]) -> real[seq, inner] { return x * 2.0 }
  fn f(x: real[seq, heads, head_dim]) -> real[seq, heads, head_dim] {
    let flat = merge(x, (heads, head_dim) -> inner)
    return split(scaled(flat), inner -> (heads, head_dim))
  }
}
