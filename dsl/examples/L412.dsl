module mine

import llama { Attention }

block A extends Attention {
  drop valuse
}
//! right
module mine

import llama { Attention }

block A extends Attention {
  // nothing to drop
}
