module mine

config C { embed: dim = 64  mean_pool: bool = false }

block B uses C {
  fn f(x: real[seq, embed]) -> real[embed] {
    return if mean_pool { mean(x, over: seq) } else { x }
  }
}
//! right
module mine

config C { embed: dim = 64  mean_pool: bool = false }

block B uses C {
  fn f(x: real[seq, embed]) -> real[embed] {
    return if mean_pool { mean(x, over: seq) } else { x[seq: 0] }
  }
}
