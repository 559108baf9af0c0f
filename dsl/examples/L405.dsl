module mine

config C { embed: dim  heads: dim = 4 }

model M uses C { weight w: [embed] }
//! right
module mine

config C { embed: dim = 64  heads: dim = 4 }

model M uses C { weight w: [embed] }
