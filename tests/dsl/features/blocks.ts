// Blocks, parts, entries, and what a variant changes of them.

import { type Features, entry, model, through } from './run-program.ts'

const maybe = {
  text: model(
    `weight w: [n] when biased
     state past: real[n] when keeps
     part p[i < 2]: P() when biased and deep > 0
     fn kept(x: real[n]) -> real[n] { store past[n: 0 ..+ n] = x + past  return past }
     fn all(x: real[n]) -> real[n] { let y = x  for one in p { y = one(y) }  return y }
     entry f(x: real[n]) -> real[n] {
       let a = if biased { x + w } else { x }
       let b = if keeps { kept(a) } else { a }
       return if biased and deep > 0 { all(b) } else { b }
     }`,
    {
      config: 'n: dim = 1  biased: bool = true  keeps: bool = true  deep: int = 1',
      before: 'block P uses C { fn forward(x: real[n]) -> real[n] { return x * 10.0 } }',
    },
  ),
}

export const blocks: Features = {
  'parts of unlike sizes': {
    text: model(`part l[i < 2]: A(width: widths[i])  ${through('l')}`, {
      config: 'n: dim = 1  widths: dim[..] = [2, 3]',
      before: `block A(width: dim) uses C { weight w: [width, n]  state p: real[width]
        fn forward(x: real[n]) -> real[n] { store p[width: 0 ..+ width] = dot(w, x, over: n) + p  return dot(p, w, over: width) } }`,
    }),
    calls: [
      ['f', { x: [1] }, [70]],
      ['f', { x: [1] }, [210]],
    ],
  },
  'block parameters and arguments of each part': {
    text: model(
      `part layers[i < depth]: Scale(by: i + 1.0, wide: i % 2 == 0)  ${through('layers')}
       entry g(x: real[n]) -> real[n] { return layers[1].alone(x) }`,
      {
        config: 'n: dim = 2  depth: dim = 3',
        before: `block Scale(by: float, wide: bool = false) uses C {
        weight w: [n] when wide
        fn forward(x: real[n]) -> real[n] { return if wide { x * by * w } else { x + by } }
        fn alone(x: real[n]) -> real[n] { return x * by * 1000.0 } }`,
      },
    ),
    weights: { 'layers[0].w': [1, 2], 'layers[2].w': [3, 4] },
    calls: [
      ['f', { x: [1, 1] }, [(1 + 2) * 3 * 3, (2 + 2) * 3 * 4]],
      ['g', { x: [1, 1] }, [2000, 2000]],
    ],
  },
  'parameters hide config fields; a derived block inherits them, adds some, gives new defaults': {
    text: model('part a: A()  part b: B()  part c: B(n: 3, k: 7)  entry f() -> i32[] { return a() + 100 * b() + 10000 * c() }', {
      before: `block A(n: dim = 1, m: dim = 2) uses C { fn forward() -> i32[] { return i32(n + m) } }
        block B(m: dim = 5, k: dim = 2) extends A { override fn forward() -> i32[] { return super() * k } }`,
      config: 'n: dim = 50',
    }),
    calls: [['f', {}, 3 + 100 * 12 + 10000 * 56]],
  },
  'lists of parts in parts, each with weights and state of its own': {
    text: model(
      `part outer[i < 2]: O(k: i + 1)
      entry f(x: real[n]) -> real[n] { let y = x  let z = x  for o in outer { y = o(y)  z = z + y }  return z }`,
      {
        config: 'n: dim = 1',
        before: `block I(by: int) uses C { weight w: [n]  state past: real[n]
          fn forward(x: real[n]) -> real[n] { store past[n: 0 ..+ n] = past + x * by + w  return past } }
        block O(k: int) uses C { part inner[j < 3]: I(by: k)  fn forward(x: real[n]) -> real[n] { let y = x  for i in inner { y = i(y) }  return y } }`,
      },
    ),
    weights: { 'outer[0].inner[2].w': [3], 'outer[1].inner[0].w': [5] },
    calls: [
      ['f', { x: [1] }, [1 + 6 + 71]],
      ['f', { x: [0] }, [0 + 16 + 360]],
    ],
  },
  'one of two blocks, by part; names of their sizes do not matter': {
    text: model(
      `part layers[i < 3]: if i == 1 { P(by: 2.0) } else { Q() }
      entry f(x: real[s, n]) -> real[s, n] { let y = x  for p in layers { y = p(y) }  return y } runtime s: 1 ..= 3`,
      {
        before: `block P(by: float) uses C { fn forward(x: real[a, n]) -> real[a, n] { return x * by } }
        block Q uses C { fn forward(y: real[b, n]) -> real[b, n] { return y + 1.0 } }`,
        config: 'n: dim = 1',
      },
    ),
    calls: [['f', { x: [3, 4] }, [9, 11]]],
  },
  'an argument that may be none': {
    text: model(`part layers[i < 2]: L(window: if kinds[i] == "s" { window } else { none })  ${through('layers')}`, {
      config: 'n: dim = 1  kinds: text[..] = ["s", "f"]  window: int = 4',
      before:
        'block L(window: int?) uses C { fn forward(x: real[n]) -> real[n] { return if window != none { x * window } else { x + 1.0 } } }',
    }),
    calls: [['f', { x: [2] }, [9]]],
  },
  'members with `when`, there': {
    ...maybe,
    calls: [
      ['f', { x: [3] }, [400]],
      ['f', { x: [0] }, [500]],
    ],
  },
  'members with `when`, absent': {
    ...maybe,
    numbers: { set: { biased: false, keeps: false } },
    calls: [
      ['f', { x: [3] }, [3]],
      ['f', { x: [0] }, [0]],
    ],
  },
  'tied weights': {
    text: model(
      'weight a: [n]  weight b: [n] tied a  weight c: [n] tied b when same  entry f(x: real[n]) -> real[n] { return a + b * x + c * 100.0 }',
      {
        config: 'n: dim = 2  same: bool = false',
      },
    ),
    weights: { a: [1, 2], c: [3, 4] },
    calls: [['f', { x: [10, 10] }, [311, 422]]],
  },
  'functions, weights and states of a part; a function without result': {
    text: model('part p: P()  entry f(x: real[n]) -> real[n] { p.remember(x)  return p.past + p.w }', {
      before: 'block P uses C { weight w: [n]  state past: real[n]  fn remember(x: real[n]) { store past[n: 0 ..+ n] = x * 2.0 } }',
    }),
    calls: [['f', { x: [1, 2, 3] }, [3, 6, 9]]],
  },
  'entries with sizes, indices and ranges of their own': {
    text: model(
      `state memory: real[most]
       entry encode(source: real[src]) { store memory[most: 0 ..+ src] = source }
       entry decode(x: real[seq], start: index) -> real[seq] { return x + sum(memory, over: most) * real(start + iota(seq)) }
       runtime src: 1 ..= most  runtime seq: 1 ..= most / 2  runtime start: 0 ..= 100`,
      { config: 'most: dim = 4' },
    ),
    calls: [
      ['encode', { source: [1, 2, 3] }, []],
      ['decode', { x: [1, 2], start: 5 }, [31, 38]],
    ],
  },
  'entries made from others by sizes and indices': {
    text: model(
      `entry f(x: real[s], at: index) -> real[s] { return x * 10.0 + real(i32(at)) }
      entry g = f with at = 3
      entry h = g with s = n
      runtime s: 1 ..= 4  runtime at: 0 ..= 5`,
      { config: 'n: dim = 2' },
    ),
    calls: [
      ['g', { x: [1] }, [13]],
      ['h', { x: [1, 2] }, [13, 23]],
      ['f', { x: [1], at: 5 }, [15]],
    ],
  },
  '`super` in an entry; one made with `with` follows the override': {
    text: `module test
      config C { n: dim = 2 }
      model Base uses C { entry f(x: real[s]) -> real[s] { return x * 2.0 }  entry one = f with s = 1  entry two = f with s = 1  runtime s: 1 ..= 3 }
      model M extends Base { override entry f(x: real[s]) -> real[s] { return super(x) + 1.0 }  override entry two = f with s = 2 }`,
    calls: [
      ['f', { x: [1, 2] }, [3, 5]],
      ['one', { x: [7] }, [15]],
      ['two', { x: [7, 8] }, [15, 17]],
    ],
  },
  'override of every kind of member': {
    text: `module test
      config C { n: dim = 2  ctx: dim = 3 }
      block Plus uses C { weight w: [n]  fn forward(x: real[n]) -> real[n] { return x + w } }
      block Times uses C { weight w: [n]  fn forward(x: real[n]) -> real[n] { return x * w } }
      model Base uses C {
        weight v: [n]  weight tie: [n] tied v
        state past: real[ctx, n]
        part p: Plus()
        fn weighed() -> real[] { return sum(v, over: n) }
        fn step(x: real[n]) -> real[n] { return p(x) * tie }
        entry f(x: real[n]) -> real[] { store past[ctx: 0 ..+ 1] = expand(step(x), [one = 1, n])  return sum(past, over: [ctx, n]) + weighed() }
      }
      model M extends Base {
        override weight v: [n, more = 3]
        override weight tie: [n]
        override state past: f32[ctx, n]
        override part p: Times()
        override fn weighed() -> real[] { return sum(v, over: [n, more]) }
        override fn step(x: real[n]) -> real[n] { return super(x) + 1.0 }
        override entry f(x: real[n]) -> real[] {
          store past[ctx: 1 ..+ 1] = expand(f32(step(x)), [one = 1, n])
          return real(sum(past, over: [ctx, n])) + weighed()
        }
      }`,
    weights: { v: [1, 1, 1, 1, 1, 1], 'p.w': [2, 3], tie: [1, 2] },
    calls: [['f', { x: [10, 20] }, 21 + 121 + 6]],
  },
  drop: {
    text: `module test
      config C { n: dim = 2 }
      model Base uses C { weight w: [n]  weight unused: [n]  part p: P()  ${entry('p(x) * w')}  entry g(x: real[n]) -> real[n] { return x } }
      block P uses C { weight b: [n]  fn bias(x: real[n]) -> real[n] { return x + b }  fn forward(x: real[n]) -> real[n] { return bias(x) } }
      block Q extends P { drop b  override fn bias(x: real[n]) -> real[n] { return x } }
      model M extends Base { drop unused  drop g  replace P with Q }`,
    calls: [['f', { x: [3, 4] }, [3, 8]]],
  },
  'replace A with A(…) in a block and those that extend it; not inside ops': {
    text: model(
      `part a: A()  part b: B()  part d: D()
       replace cap with cap(at: limit) in A
       entry f(x: real[n]) -> real[n] { return a(x) * 10000.0 + b(x) * 100.0 + d(x) }`,
      {
        config: 'n: dim = 1  limit: float = 4.0',
        before: `op cap(x: real[n], at: float = 1.0) -> real[n] { return min(x, at) }
          op twice(x: real[n]) -> real[n] { return cap(x) + cap(x) }
          block A uses C { fn forward(x: real[n]) -> real[n] { return cap(x) + twice(x) * 10.0 } }
          block B extends A { override fn forward(x: real[n]) -> real[n] { return cap(x) } }
          block D uses C { fn forward(x: real[n]) -> real[n] { return cap(x) } }`,
      },
    ),
    calls: [['f', { x: [9] }, [24 * 10000 + 4 * 100 + 1]]],
  },
  'replace attend with attend(scale: s, softcap: c)': {
    text: model(
      'part a: A()  entry f(x: real[s, heads, d]) -> real[s, heads, d] { return a(x) }  replace attend with attend(scale: scale, softcap: cap)  runtime s: 1 ..= 4',
      {
        config: 'heads: dim = 1  d: dim = 1  scale: float = 2.0  cap: float? = 0.5',
        before:
          'block A uses C { fn forward(x: real[s, heads, d]) -> real[s, heads, d] { return attend(x, rename(x, s -> t), rename(x, s -> t), mask: causal(iota(s), iota(t = s))) } }',
        imports: 'import std.attention { attend, causal }',
      },
    ),
    calls: [
      [
        'f',
        { x: [1, 3] },
        [
          1,
          (Math.exp(0.5 * Math.tanh(12)) + 3 * Math.exp(0.5 * Math.tanh(36))) /
            (Math.exp(0.5 * Math.tanh(12)) + Math.exp(0.5 * Math.tanh(36))),
        ],
      ],
    ],
  },
  'a block for another, with a value bound and the part’s own arguments kept': {
    text: model(`part p: P(k: 3)  ${entry('p(x)')}  replace P with Q(z: w)`, {
      config: 'n: dim = 1  w: int = 7',
      before: `block P(k: int = 1) uses C { fn forward(x: real[n]) -> real[n] { return x * k } }
        block Q(k: int = 1, z: int) uses C { fn forward(x: real[n]) -> real[n] { return x * k + z } }`,
    }),
    calls: [['f', { x: [2] }, [13]]],
  },
  'replacements run from root to leaf, each once': {
    text: `module test
      config C { n: dim = 1 }
      op a(x: real[n]) -> real[n] { return x }
      op b(x: real[n]) -> real[n] { return x * 2.0 }
      op c(x: real[n]) -> real[n] { return x * 3.0 }
      model Base uses C { ${entry('a(x)')}  replace a with b }
      model M extends Base { replace b with c  replace a with b }`,
    calls: [['f', { x: [1] }, [3]]],
  },
  'replacements find declarations, not names; never inside what replaces': {
    text: `module test
      import other { Base, C, Step, Sub }
      op tenfold(x: real[n]) -> real[n] { return x * 7.0 }
      block Twice extends Step { part inner: Step()  override fn forward(x: real[n]) -> real[n] { return inner(x) + inner(x) } }
      block SubTwice extends Sub { override fn forward(x: real[n]) -> real[n] { return super(x) * 2.0 } }
      model M extends Base { replace Step with Twice  replace Sub with SubTwice  replace tenfold with tenfold }`,
    files: {
      'other.dsl': `module other
        config C { n: dim = 1 }
        op tenfold(x: real[n]) -> real[n] { return x * 10.0 }
        block Step uses C { fn forward(x: real[n]) -> real[n] { return x + 1.0 } }
        block Sub extends Step { override fn forward(x: real[n]) -> real[n] { return tenfold(super(x)) } }
        model Base uses C { part p: Step()  part q: Sub()  ${entry('q(p(x))')} }`,
    },
    calls: [['f', { x: [1] }, [(4 + 1) * 10 * 2]]],
  },
}
