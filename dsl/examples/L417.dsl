module mine

config C { embed: dim = 64  gated: bool = true }

block A uses C { fn forward(x: real[seq, embed]) -> real[seq, embed] { return x * 2.0 } }
block G uses C { fn forward(x: real[seq, embed]) -> real[embed] { return mean(x, over: seq) } }

block B uses C {
  part mlp: if gated { G() } else { A() }
}
//! right
module mine

config C { embed: dim = 64  gated: bool = true }

block A uses C { fn forward(x: real[seq, embed]) -> real[seq, embed] { return x * 2.0 } }
block G uses C { fn forward(x: real[seq, embed]) -> real[seq, embed] { return x + 1.0 } }

block B uses C {
  part mlp: if gated { G() } else { A() }
}
