module mine

config C {
  act: text = "silu
  embed: dim = 64
}
//! right
module mine

config C {
  act: text = "silu"
  embed: dim = 64
}
