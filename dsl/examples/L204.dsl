module mine

config C {
  embed: dim = 64
  heads: dim = 4
  embed: dim = 128
}
//! right
module mine

config C {
  embed: dim = 64
  heads: dim = 4
  ffn: dim = 128
}
