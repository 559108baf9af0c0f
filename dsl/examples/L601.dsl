//! target webgpu
module mine

config C { embed: dim = 64  ctx: dim = 1000000 }

model M uses C {
  runtime seq: 1 ..= 8
  state past: f32[ctx, embed]
  entry add(x: f32[seq, embed], start: index) -> f32[embed] {
    store past[ctx: start ..+ seq] = x
    return past[ctx: start]
  }
}
//! right
//! set ctx=1000
module mine

config C { embed: dim = 64  ctx: dim = 1000000 }

model M uses C {
  runtime seq: 1 ..= 8
  state past: f32[ctx, embed]
  entry add(x: f32[seq, embed], start: index) -> f32[embed] {
    store past[ctx: start ..+ seq] = x
    return past[ctx: start]
  }
}
