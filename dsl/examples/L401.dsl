//! preset odd
module mine

config C {
  heads: dim = 4  kv_heads: dim = 2
  require heads % kv_heads == 0, "heads ({heads}) must be a multiple of kv_heads ({kv_heads})"
}

model M uses C {
  weight w: [heads]
  preset "odd" { kv_heads = 3 }
}
//! right
module mine

config C {
  heads: dim = 4  kv_heads: dim = 2
  require heads % kv_heads == 0, "heads ({heads}) must be a multiple of kv_heads ({kv_heads})"
}

model M uses C {
  weight w: [heads]
  preset "odd" { kv_heads = 1 }
}
