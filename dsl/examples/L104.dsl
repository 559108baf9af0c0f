module mine

config C {
  embed: dim  = 64
  state: bool = true
}
//! right
module mine

config C {
  embed: dim  = 64
  cached: bool = true
}
