module mine

config C { embed: dim = 64  depth: dim = 2 }

block Layer uses C { fn forward(x: real[seq, embed]) -> f32[seq, embed] { return f32(x) * 2.0 } }

block B uses C {
  part layers[i < depth]: Layer()
  fn f(x: real[seq, embed]) -> real[seq, embed] {
    let y = x
    for layer in layers { y = layer(y) }
    return y
  }
}
//! right
module mine

config C { embed: dim = 64  depth: dim = 2 }

block Layer uses C { fn forward(x: real[seq, embed]) -> f32[seq, embed] { return f32(x) * 2.0 } }

block B uses C {
  part layers[i < depth]: Layer()
  fn f(x: real[seq, embed]) -> real[seq, embed] {
    let y = x
    for layer in layers { y = real(layer(y)) }
    return y
  }
}
