//! tensor model.layers.0.self_attn.k_proj.weight [1024, 4096]
module mine

config C {
  embed: dim = 4096  heads: dim = 32  kv_heads: dim = heads  head_dim: dim = 128
}

model M uses C {
  weight wk: [kv_heads, head_dim, embed]
  checkpoint hf { wk <- "model.layers.0.self_attn.k_proj.weight" }
}
//! right
//! set kv_heads=8
module mine

config C {
  embed: dim = 4096  heads: dim = 32  kv_heads: dim = heads  head_dim: dim = 128
}

model M uses C {
  weight wk: [kv_heads, head_dim, embed]
  checkpoint hf { wk <- "model.layers.0.self_attn.k_proj.weight" }
}
