module mine

import llama         { Llama, LlamaConfig }
import std.attention { attend }

model M extends Llama uses LlamaConfig {
  replace attend with attend(mask: none)
}
//! right
module mine

import llama         { Llama, LlamaConfig }
import std.attention { attend }

model M extends Llama uses LlamaConfig {
  replace attend with attend(scale: 0.1)
}
