module mine

config C { embed: dim = 64 }

model M uses C {
  weight w: [embed]
  preset "half" { embed = 0.5 }
}
//! right
module mine

config C { embed: dim = 64 }

model M uses C {
  weight w: [embed]
  preset "half" { embed = 32 }
}
