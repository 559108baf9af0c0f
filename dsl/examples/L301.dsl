module mine

config C {
  embed: dim = 64  heads: dim = 4  kv_heads: dim = heads  head_dim: dim = 16
}

block Attention uses C {
  weight wo: [embed, kv_heads, head_dim]
  fn out(mix: real[seq, heads, head_dim]) -> real[seq, embed] {
    return dot(mix, wo, over: [heads, head_dim])
  }
}
//! right
module mine

config C {
  embed: dim = 64  heads: dim = 4  kv_heads: dim = heads  head_dim: dim = 16
}

block Attention uses C {
  weight wo: [embed, heads, head_dim]
  fn out(mix: real[seq, heads, head_dim]) -> real[seq, embed] {
    return dot(mix, wo, over: [heads, head_dim])
  }
}
