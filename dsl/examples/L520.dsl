//! tensor w [64]
//! tensor rope.freqs [32]
module mine

config C { embed: dim = 64 }

model M uses C {
  weight w: [embed]
  checkpoint hf { w <- "w" }
}
//! right
module mine

config C { embed: dim = 64 }

model M uses C {
  weight w: [embed]
  checkpoint hf { w <- "w"  ignore "rope.freqs" }
}
