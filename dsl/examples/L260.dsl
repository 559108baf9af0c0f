module mine

config C { depth: dim = 50000 }

block Layer { weight gain: [n = 4] }

model M uses C { part layers[i < depth]: Layer() }
//! right
module mine

config C { depth: dim = 50 }

block Layer { weight gain: [n = 4] }

model M uses C { part layers[i < depth]: Layer() }
