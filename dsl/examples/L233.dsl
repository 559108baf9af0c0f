module mine

config C { embed: dim = 64  vocab: dim = 100  ctx: dim = 32 }

model M uses C {
  weight table: [vocab, embed]
  entry first() -> real[n = 200, embed] { return rename(table[vocab: 0 ..+ 200], vocab -> n) }
}
//! right
module mine

config C { embed: dim = 64  vocab: dim = 100  ctx: dim = 32 }

model M uses C {
  weight table: [vocab, embed]
  entry first() -> real[n = 50, embed] { return rename(table[vocab: 0 ..+ 50], vocab -> n) }
}
