// Axes, sizes and primitives.

import { type Features, entry, model } from './run-program.ts'

const rows = 'runtime s: 1 ..= 4'

export const tensors: Features = {
  'a row of axes in the middle, also empty': {
    text: model(
      `entry two(x: real[s, a = 2, b = 2, n]) -> real[s, a = 2, b = 2, n] { return scaled(x, iota(s)) }
       entry zero(x: real[s, n]) -> real[s, n] { return scaled(x, iota(s)) } ${rows}`,
      { before: 'op scaled(x: real[t, ..h, d], by: i32[t]) -> real[t, ..h, d] { return x * real(by) }', config: 'n: dim = 1' },
    ),
    calls: [
      ['two', { x: [1, 2, 3, 4, 5, 6, 7, 8] }, [0, 0, 0, 0, 5, 6, 7, 8]],
      ['zero', { x: [1, 2, 3] }, [0, 2, 6]],
    ],
  },
  'sizes of 0: tensors, weights, states, lists of parts': {
    text: model(
      `weight w: [z, n]  state past: real[z, n]  part layers[i < z]: L()
       entry f(x: real[n]) -> real[m = n + z] { return rename(concat(x, pad(x[n: 0 ..+ z], over: n, before: 0), over: n), n -> m) }
       entry g(x: real[n]) -> real[] { return sum(x[n: 0 ..+ z], over: n) + max(x[n: 0 ..+ z], over: n) }
       entry h(x: real[n]) -> real[n] {
         let y = x
         for layer in layers { y = layer(y) }
         store past[z: 0 ..+ z] = w
         return y + dot(dot(w, x, over: n), w, over: z) + sum(past, over: z)
       }`,
      { config: 'n: dim = 3  z: dim = 0', before: 'block L uses C { fn forward(x: real[n]) -> real[n] { return x + 1.0 } }' },
    ),
    calls: [
      ['f', { x: [1, 2, 3] }, [1, 2, 3]],
      ['g', { x: [1, 2, 3] }, 0],
      ['h', { x: [1, 2, 3] }, [1, 2, 3]],
    ],
  },
  'optional tensor parameters': {
    text: model('entry f(x: real[n], b: real[n]) -> real[n] { return shifted(x) * 10.0 + shifted(x, b) }', {
      before: 'op shifted(x: real[n], b: real[n]? = none) -> real[n] { return if b != none { x + b } else { x } }',
    }),
    calls: [['f', { x: [1, 2, 3], b: [5, 6, 7] }, [16, 28, 40]]],
  },
  'one label for two parameters; results get the caller’s': {
    text: model(`entry f(x: real[s, n]) -> real[s, n] { return pairs(x, x) } ${rows}`, {
      before: 'op pairs(a: real[p, g], b: real[p, h]) -> real[p, g] { return a * sum(b, over: h) }',
    }),
    calls: [['f', { x: [1, 2, 3, 4, 5, 6] }, [6, 12, 18, 60, 75, 90]]],
  },
  'a promise means config fields, not variables of the body': {
    text: model('entry f(x: real[n]) -> real[n] { let n = 5  return twice(x * n) }', {
      before: 'op twice(x: real[k]) -> real[k] { let k = 2  return x * k }',
    }),
    calls: [['f', { x: [1, 2, 3] }, [10, 20, 30]]],
  },
  'generic ops': {
    text: model('entry f(x: real[n], y: i32[n]) -> real[n] { return twice(x) + real(twice(y)) }', {
      before: 'op twice(x: T[..s]) -> T[..s] { return x + x }',
    }),
    calls: [['f', { x: [1, 2, 3], y: [1, 2, 3] }, [4, 8, 12]]],
  },
  'dot: shared axes, lists, outer products': {
    text: model(
      `entry f(a: real[s, n], b: real[s, n]) -> real[s] { return dot(a, b, over: n) }
       entry g(a: real[s, n], b: real[n, t = 2]) -> real[s, t = 2] { return dot(a, b, over: n) }
       entry h(a: real[n], b: real[m = 2]) -> real[n, m = 2] { return dot(a, b) }
       entry k(a: real[n, m = 2], b: real[m = 2, n]) -> real[] { return dot(a, b, over: [n, m]) } ${rows}`,
      { config: 'n: dim = 2' },
    ),
    calls: [
      ['f', { a: [1, 2, 3, 4], b: [5, 6, 7, 8] }, [17, 53]],
      ['g', { a: [1, 2], b: [1, 2, 3, 4] }, [7, 10]],
      ['h', { a: [1, 2], b: [3, 4] }, [3, 4, 6, 8]],
      ['k', { a: [1, 2, 3, 4], b: [5, 6, 7, 8] }, 1 * 5 + 2 * 7 + 3 * 6 + 4 * 8],
    ],
  },
  'topk, and a gather that shares an axis': {
    text: model(`entry f(x: real[s, n]) -> real[s, pick = 2] {
        let (best, which) = topk(x, pick = 2, over: n)
        return x[n: which] * 100.0 + best * 10.0 + real(which)
      } ${rows}`),
    calls: [['f', { x: [1, 3, 2, 9, 7, 8] }, [331, 222, 990, 882]]],
  },
  'topk: ties go to the lower index': {
    text: model('entry f(x: real[n]) -> i32[k = 3] { let (v, i) = topk(x, k = 3, over: n)  return i }', { config: 'n: dim = 5' }),
    calls: [['f', { x: [1, 2, 2, 1, 2] }, [1, 2, 4]]],
  },
  'order, pad, merge, split, rename': {
    text: model(`entry f(x: real[a = 2, b = 3]) -> real[m = 8] {
        let y = order(x, [b, a]) |> pad(over: b, before: 1, value: -1.0)
        return merge(y, (b, a) -> m)
      }
      entry g(x: real[m = 6]) -> real[three = 3, b = 2] { return split(x, m -> (b = 2, c)) |> order([c, b]) |> rename(c -> three) }`),
    calls: [
      ['f', { x: [1, 2, 3, 4, 5, 6] }, [-1, -1, 1, 4, 2, 5, 3, 6]],
      ['g', { x: [1, 2, 3, 4, 5, 6] }, [1, 4, 2, 5, 3, 6]],
    ],
  },
  'slices, picks, joins, means over lists': {
    text: model(
      `entry f(x: real[n]) -> real[m = 5] { return rename(concat(x[n: 1 .. 3], x[n: 0 ..+ 1], x[n: 2 ..+ 2], over: n), n -> m) }
       entry g(x: real[n, m = 2]) -> real[] { return mean(x, over: [n, m]) + x[n: 1, m: 1] }`,
      { config: 'n: dim = 4' },
    ),
    calls: [
      ['f', { x: [1, 2, 3, 4] }, [2, 3, 1, 3, 4]],
      ['g', { x: [1, 2, 3, 4, 5, 6, 7, 8] }, 4.5 + 4],
    ],
  },
  'masked rows and infinity': {
    text: model(
      `entry f(x: f32[n], keep: bool[n]) -> f32[n] { return softmax(where(keep, x, -inf), over: n) }
       entry g(x: f32[n]) -> f32[] { return max(where(x > 100.0, x, -inf), over: n) }`,
      { imports: 'import std.nn { softmax }' },
    ),
    calls: [
      ['f', { x: [1, 2, 3], keep: [0, 0, 0] }, [0, 0, 0]],
      ['f', { x: [1, 1, 3], keep: [1, 1, 0] }, [0.5, 0.5, 0]],
      ['g', { x: [1, 2, 3] }, 0],
    ],
  },
  'integers, truth values, numbers without axes': {
    text: model(
      `entry f(x: i32[n]) -> i32[n] { return i32(u8(x) > 250) * 10 + i32(i8(x)) * 100 + few - 1 }
      entry g(x: u32[n]) -> u32[n] { return x + 1 }
      entry h(x: f32[]) -> bool[] { return x * 2.0 > 5.0 }`,
      { config: 'n: dim = 3  few: int = -4' },
    ),
    calls: [
      ['f', { x: [-1, 2, 130] }, [10 - 100 - 5, 200 - 5, -12600 - 5]],
      ['g', { x: [1, 2, 4294967295] }, [2, 3, 0]],
      ['h', { x: [2] }, 0],
      ['h', { x: [3] }, 1],
    ],
  },
  'the remainder has the sign of the divisor': {
    text: model(`entry f(x: i32[n], y: i32[n]) -> i32[n] { return x % 3 * 10 + x % y }
      entry g(x: f32[n]) -> f32[n] { return x % 2.0 + x % -2.0 * 10.0 }
      entry h(at: index) -> i32[] { return at % 3 }  runtime at: 0 ..= 9`),
    calls: [
      ['f', { x: [-1, 5, -7], y: [2, -3, -4] }, [20 + 1, 20 - 1, 20 - 3]],
      ['g', { x: [-0.5, 3, 2] }, [1.5 - 5, 1 - 10, 0]],
      ['h', { at: 8 }, 2],
    ],
  },
  'indices in sizes and as numbers': {
    text: model(
      `state past: real[ctx, n]
       entry f(x: real[s, n], start: index) -> real[n] {
         let before = past
         store past[ctx: start ..+ s] = x
         return sum(past[ctx: 0 ..+ start + s], over: ctx) * 100.0 + sum(before, over: ctx) + real(i32(start)) / 10.0
       }`,
      { config: 'n: dim = 1  ctx: dim = 4' },
    ),
    calls: [
      ['f', { x: [1, 2], start: 0 }, 300],
      ['f', { x: [4], start: 2 }, 703.2],
      ['f', { x: [5], start: 0 }, 507],
    ],
  },
  'a store by number: of repeated numbers the last wins': {
    text: model(`state seen: real[n]
      entry f(at: i32[s], x: real[s]) -> real[n] { store seen[n: at] = x  return seen } ${rows}`),
    calls: [
      ['f', { at: [1, 2, 1], x: [5, 6, 7] }, [0, 7, 6]],
      ['f', { at: [0], x: [9] }, [9, 7, 6]],
    ],
  },
  'states of integers and truth values': {
    text: model(`state on: bool[n]  state count: i32[n]
      entry f(x: i32[n]) -> i32[n] { store on[n: 0 ..+ n] = x > 1  store count[n: 0 ..+ n] = count + i32(on)  return count }`),
    calls: [
      ['f', { x: [1, 2, 3] }, [0, 1, 1]],
      ['f', { x: [1, 2, 0] }, [0, 2, 1]],
    ],
  },
  'an own op hides the primitive of its name, but not in configs': {
    text: model(entry('sqrt(x) * by'), {
      before: 'op sqrt(x: real[n]) -> real[n] { return x * 3.0 }',
      config: 'n: dim = 3  by: float = sqrt(4.0)',
    }),
    calls: [['f', { x: [1, 2, 3] }, [6, 12, 18]]],
  },
}
