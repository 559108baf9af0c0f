module mine

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  weight w: [heads * head_dim, embed]
}
//! right
module mine

config C { embed: dim = 64  heads: dim = 4  kv_heads: dim = 2  head_dim: dim = 16  ctx: dim = 32 }

block B uses C {
  weight w: [inner = heads * head_dim, embed]
}
