module mine

config C { embed: dim = 64  bias: bool = false }

block B uses C {
  weight b: [embed] when bias
  fn f(x: real[seq, embed]) -> real[seq, embed] {
    return x + b
  }
}
//! right
module mine

config C { embed: dim = 64  bias: bool = false }

block B uses C {
  weight b: [embed] when bias
  fn f(x: real[seq, embed]) -> real[seq, embed] {
    return if bias { x + b } else { x }
  }
}
