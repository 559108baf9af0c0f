//! set head=8
module mine

config C { embed: dim = 64  heads: dim = 4 }

model M uses C { weight w: [embed] }
//! right
//! set heads=8
module mine

config C { embed: dim = 64  heads: dim = 4 }

model M uses C { weight w: [embed] }
