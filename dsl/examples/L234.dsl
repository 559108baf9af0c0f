module mine

config C {
  embed: dim = 64
  groups: dim = 0
  width: dim = embed / groups
}

model M uses C { weight w: [width] }
//! right
module mine

config C {
  embed: dim = 64
  groups: dim = 4
  width: dim = embed / groups
}

model M uses C { weight w: [width] }
