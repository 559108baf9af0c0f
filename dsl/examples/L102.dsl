module mine

config C { größe: dim = 64 }
//! right
module mine

config C { size: dim = 64 }
