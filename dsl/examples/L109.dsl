module mine

config C {
  embed: dim = 64
  heads
}
//! right
module mine

config C {
  embed: dim = 64
  heads: dim = 4
}
