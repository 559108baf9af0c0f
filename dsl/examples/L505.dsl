//! config {"hidden_size": 64, "mlp_bias": true}
module mine

config C { embed: dim = 64 @hf("hidden_size") }

model M uses C {
  weight w: [embed]
  checkpoint hf { w <- "w" }
}
//! right
//! config {"hidden_size": 64, "mlp_bias": false}
module mine

config C { embed: dim = 64 @hf("hidden_size") }

model M uses C {
  weight w: [embed]
  checkpoint hf { w <- "w"  expect "mlp_bias" = false }
}
