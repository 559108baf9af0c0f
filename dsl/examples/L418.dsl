module mine

config C { vocab: dim = 100  embed: dim = 64  tie: bool = true }

model M uses C {
  weight table:   [vocab, embed]
  weight lm_head: [embed, vocab] tied table when tie
}
//! right
module mine

config C { vocab: dim = 100  embed: dim = 64  tie: bool = true }

model M uses C {
  weight table:   [vocab, embed]
  weight lm_head: [vocab, embed] tied table when tie
}
