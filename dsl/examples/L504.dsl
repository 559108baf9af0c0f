//! tensor w [64]
module mine

config C { embed: dim = 64 }

model M uses C {
  weight w: [embed]
  checkpoint meta { w <- "w" }
}
//! right
module mine

config C { embed: dim = 64 }

model M uses C {
  weight w: [embed]
  checkpoint hf { w <- "w" }
}
