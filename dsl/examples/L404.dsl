//! preset tinny
module mine

config C { embed: dim = 64 }

model M uses C {
  weight w: [embed]
  preset "tiny"  { embed = 16 }
  preset "large" { embed = 1024 }
}
//! right
//! preset tiny
module mine

config C { embed: dim = 64 }

model M uses C {
  weight w: [embed]
  preset "tiny"  { embed = 16 }
  preset "large" { embed = 1024 }
}
