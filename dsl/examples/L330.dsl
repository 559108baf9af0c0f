//! target wasm
module mine

config C { embed: dim = 8  ctx: dim = 16 }

block Layer uses C {
  state past: real[ctx, embed]
  fn remember(x: real[seq, embed]) { store past[ctx: 0 ..+ seq] = x }
}

model M uses C {
  runtime seq: 1 ..= 8
  part layers[i < 2]: Layer()
  entry read(x: f32[seq, embed]) -> f32[seq, embed] {
    for layer in layers { layer.remember(real(x)) }
    for layer in layers { layer.remember(real(x)) }
    return x
  }
}
//! right
module mine

config C { embed: dim = 8  ctx: dim = 16 }

block Layer uses C {
  state past: real[ctx, embed]
  fn remember(x: real[seq, embed]) { store past[ctx: 0 ..+ seq] = x }
}

model M uses C {
  runtime seq: 1 ..= 8
  part layers[i < 2]: Layer()
  entry read(x: f32[seq, embed]) -> f32[seq, embed] {
    for layer in layers { layer.remember(real(x)) }
    return x
  }
}
