module mine

config C {
  heads: dim = 4  kv_heads: dim = 2
}

block B uses C {
  fn f(x: real[heads]) -> real[kv_heads, n = heads / kv_heads] {
    return split(x, heads -> (kv_heads, n))
  }
}
//! right
module mine

config C {
  heads: dim = 4  kv_heads: dim = 2
  require heads % kv_heads == 0
}

block B uses C {
  fn f(x: real[heads]) -> real[kv_heads, n = heads / kv_heads] {
    return split(x, heads -> (kv_heads, n))
  }
}
