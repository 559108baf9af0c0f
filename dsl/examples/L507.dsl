module mine

config C { embed: dim = 64  ffn: dim = 128 }

model M uses C {
  weight w: [ffn, embed]
  checkpoint hf { w <- "w" |> transposed }
}
//! right
module mine

config C { embed: dim = 64  ffn: dim = 128 }

model M uses C {
  weight w: [ffn, embed]
  checkpoint hf { w <- "w" |> transpose }
}
