module mine

config C { embed: dim = 64  require embed % 8 == 0 }

block B uses C {
  fn f(x: real[seq, embed]) -> real[seq, outer = embed / 8, inner = 8] {
    return split(x, embed -> (outer, inner))
  }
}
//! right
module mine

config C { embed: dim = 64  require embed % 8 == 0 }

block B uses C {
  fn f(x: real[seq, embed]) -> real[seq, outer = embed / 8, inner = 8] {
    return split(x, embed -> (outer, inner = 8))
  }
}
