module mine

config C { embed: dim = 64 }

model Base uses C {
  weight q: [embed]   weight k: [embed]
  checkpoint hf { q, k <- "qk" |> chunk(2) }
}

model M extends Base uses C {
  checkpoint hf {
    inherit hf
    q <- "q"
  }
}
//! right
module mine

config C { embed: dim = 64 }

model Base uses C {
  weight q: [embed]   weight k: [embed]
  checkpoint hf { q, k <- "qk" |> chunk(2) }
}

model M extends Base uses C {
  checkpoint hf {
    inherit hf
    q <- "q"   k <- "k"
  }
}
