//! tensor qkv [100]
module mine

config C { embed: dim = 64 }

model M uses C {
  weight q: [embed]   weight k: [embed]   weight v: [embed]
  checkpoint hf { q, k, v <- "qkv" |> chunk(3) }
}
//! right
//! tensor qkv [192]
module mine

config C { embed: dim = 64 }

model M uses C {
  weight q: [embed]   weight k: [embed]   weight v: [embed]
  checkpoint hf { q, k, v <- "qkv" |> chunk(3) }
}
