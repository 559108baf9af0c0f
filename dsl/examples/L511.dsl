//! tensor w [8, 4, 2]
module mine

config C { embed: dim = 64 }

model M uses C {
  weight w: [embed]
  checkpoint hf { w <- "w" |> transpose }
}
//! right
//! tensor w [8, 4, 2]
module mine

config C { embed: dim = 64 }

model M uses C {
  weight w: [embed]
  checkpoint hf { w <- "w" }
}
