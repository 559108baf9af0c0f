module mine

config A extends B { }
config B extends A { }
//! right
module mine

config A { embed: dim = 64 }
config B extends A { }
