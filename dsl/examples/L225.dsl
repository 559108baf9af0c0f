module mine

config C { embed: dim = 64  heads: dim = embed }

block B uses C {
  fn both(a: real[s, n], b: real[t, n]) -> real[s, t] { return dot(a, b, over: n) }
  fn f(x: real[seq, heads], y: real[other, embed]) -> real[seq, other] { return both(x, y) }
}
//! right
module mine

config C { embed: dim = 64  heads: dim = embed }

block B uses C {
  fn both(a: real[s, n], b: real[t, n]) -> real[s, t] { return dot(a, b, over: n) }
  fn f(x: real[seq, heads], y: real[other, embed]) -> real[seq, other] { return both(x, rename(y[embed: 0 ..+ heads], embed -> heads)) }
}
