module mine

config C { embed: dim = 64  vocab: dim = 100  ctx: dim = 32 }

model M uses C {
  runtime seq: 1 ..= 8
  weight table: [vocab, embed]
  entry score(tokens: i32[seq], start: index) -> real[seq, embed] {
    let x = table[tokens]
    return if start == 0 { x } else { x * 2.0 }
  }
  runtime start: 0 ..= 31
}
//! right
module mine

config C { embed: dim = 64  vocab: dim = 100  ctx: dim = 32 }

model M uses C {
  runtime seq: 1 ..= 8
  weight table: [vocab, embed]
  entry score(tokens: i32[seq], start: index) -> real[seq, embed] {
    let x = table[tokens]
    return where(start + iota(seq) == iota(seq), x, x * 2.0)
  }
  runtime start: 0 ..= 31
}
