module mine

config C {
  embed: dim    = heads * head_dim
  heads: dim    = 4
  head_dim: dim = embed / heads
}

model M uses C { weight w: [embed] }
//! right
module mine

config C {
  embed: dim    = heads * head_dim
  heads: dim    = 4
  head_dim: dim = 16
}

model M uses C { weight w: [embed] }
