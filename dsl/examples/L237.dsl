module mine

config C { embed: dim = 64  vocab: dim = 100  ctx: dim = 32 }

model M uses C {
  runtime seq: 1 ..= 8
  weight table: [vocab, embed]
  entry score(tokens: i32[seq], scale: float) -> real[seq, embed] { return table[tokens] * scale }
}
//! right
module mine

config C { embed: dim = 64  vocab: dim = 100  ctx: dim = 32 }

model M uses C {
  runtime seq: 1 ..= 8
  weight table: [vocab, embed]
  entry score(tokens: i32[seq], scale: real[]) -> real[seq, embed] { return table[tokens] * scale }
}
