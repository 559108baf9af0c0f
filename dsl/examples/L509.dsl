module mine

config C { embed: dim = 64 }

model M uses C {
  weight w: [embed]
  checkpoint gguff("mine") { w <- "w" }
}
//! right
module mine

config C { embed: dim = 64 }

model M uses C {
  weight w: [embed]
  checkpoint gguf("mine") { w <- "w" }
}
