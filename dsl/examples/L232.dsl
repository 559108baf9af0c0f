module mine

config C { embed: dim = 64  vocab: dim = 100  ctx: dim = 32 }

model M uses C {
  weight table: [vocab, embed]
  entry pairs(tokens: i32[seq]) -> real[n = seq * seq, embed] {
    let x = table[tokens]
    let y = expand(x, [seq, other = seq, embed])
    return merge(y, (seq, other) -> n)
  }
}
//! right
module mine

config C { embed: dim = 64  vocab: dim = 100  ctx: dim = 32 }

model M uses C {
  runtime seq: 1 ..= 16
  weight table: [vocab, embed]
  entry pairs(tokens: i32[seq]) -> real[seq, other = seq, embed] {
    let x = table[tokens]
    return expand(x, [seq, other = seq, embed])
  }
}
