module mine

import llama { Llama, LlamaConfig }

model M extends Llama uses LlamaConfig {
  checkpoint gguf("mine") { inherit gguf("lama") }
}
//! right
module mine

import llama { Llama, LlamaConfig }

model M extends Llama uses LlamaConfig {
  checkpoint gguf("mine") { inherit gguf("llama") }
}
