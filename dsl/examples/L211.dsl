module mine

config C { window: int? = none }

block B uses C {
  fn f(pos: i32[seq]) -> i32[seq] {
    return pos - window
  }
}
//! right
module mine

config C { window: int? = none }

block B uses C {
  fn f(pos: i32[seq]) -> i32[seq] {
    return if window != none { pos - window } else { pos }
  }
}
