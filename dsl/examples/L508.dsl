module mine

config C { vocab: dim = 100  embed: dim = 64  depth: dim = 2 }

block Layer uses C { weight w: [embed]  weight b: [embed] }

model M uses C {
  weight table: [vocab, embed]
  part layers[i < depth]: Layer()
  checkpoint hf {
    table       <- "embed.weight"
    layers[i].w <- "layers.{n}.weight"
    layers[i].b <- "layers.{i}.bias"
  }
}
//! right
module mine

config C { vocab: dim = 100  embed: dim = 64  depth: dim = 2 }

block Layer uses C { weight w: [embed]  weight b: [embed] }

model M uses C {
  weight table: [vocab, embed]
  part layers[i < depth]: Layer()
  checkpoint hf {
    table       <- "embed.weight"
    layers[i].w <- "layers.{i}.weight"
    layers[i].b <- "layers.{i}.bias"
  }
}
