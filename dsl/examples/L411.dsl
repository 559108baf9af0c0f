module mine

import llama  { RMSNorm }
import std.nn { rms_norm }

block OffsetNorm extends RMSNorm {
  fn forward(x: real[..b, embed]) -> real[..b, embed] { return rms_norm(x, 1.0 + gain) }
}
//! right
module mine

import llama  { RMSNorm }
import std.nn { rms_norm }

block OffsetNorm extends RMSNorm {
  override fn forward(x: real[..b, embed]) -> real[..b, embed] { return rms_norm(x, 1.0 + gain) }
}
