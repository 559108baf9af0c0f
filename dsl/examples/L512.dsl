//! config {"hidden_size": 64, "model_type": "gemma"}
module mine

config C { embed: dim = 64 @hf("hidden_size") }

model M uses C {
  weight w: [embed]
  checkpoint hf {
    w <- "w"
    expect "model_type" = "llama"
  }
}
//! right
//! config {"hidden_size": 64, "model_type": "llama"}
module mine

config C { embed: dim = 64 @hf("hidden_size") }

model M uses C {
  weight w: [embed]
  checkpoint hf {
    w <- "w"
    expect "model_type" = "llama"
  }
}
