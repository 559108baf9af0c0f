module mine

import std.nm { silu }
//! right
module mine

import std.nn { silu }
