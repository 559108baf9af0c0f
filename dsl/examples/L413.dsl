module mine

import llama { RMSNorm }

block N extends RMSNorm {
  override state gain: real[embed]
}
//! right
module mine

import llama { RMSNorm }

block N extends RMSNorm {
  override weight gain: [embed]
}
