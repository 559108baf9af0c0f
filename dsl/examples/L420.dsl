module mine

import llama { Layer }

config C { embed: dim = 64 }

block B uses C {
  part layer: Layer()
}
//! right
module mine

import llama { Layer, LlamaConfig }

config C extends LlamaConfig { embed = 64 }

block B uses C {
  part layer: Layer()
}
