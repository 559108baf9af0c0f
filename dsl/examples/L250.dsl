module mine

config C { embed: dim = 64  vocab: dim = 100  ctx: dim = 32 }

model M uses C {
  weight table: [vocab, embed]
  entry score(tokens: i32[seq]) -> real[seq, embed] { return table[tokens] }
}
//! right
module mine

config C { embed: dim = 64  vocab: dim = 100  ctx: dim = 32 }

model M uses C {
  runtime seq: 1 ..= ctx
  weight table: [vocab, embed]
  entry score(tokens: i32[seq]) -> real[seq, embed] { return table[tokens] }
}
