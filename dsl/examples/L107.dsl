module mine

config C {
  embed: dim = 64
  require embed % 2 == 0, "see docs\models"
}
//! right
module mine

config C {
  embed: dim = 64
  require embed % 2 == 0, "see docs\\models"
}
