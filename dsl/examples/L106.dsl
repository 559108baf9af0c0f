module mine

config C { embed: dim = 4k }
//! right
module mine

config C { embed: dim = 4096 }
