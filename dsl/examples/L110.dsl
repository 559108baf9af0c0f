module mine

config C {
  embed: dim = 64
  /// everything else follows from it
}
//! right
module mine

config C {
  embed: dim = 64
  // everything else follows from it
}
