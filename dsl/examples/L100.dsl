//! blanks 250000
module mine

config C { embed: dim = 64 }
//! right
//! blanks 0
module mine

config C { embed: dim = 64 }
