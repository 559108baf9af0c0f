// Config fields, where their values come from, and imports.

import { type Features, entry, model, through } from './run-program.ts'

const read = 'entry f() -> i32[] { return a + 10 * b + 100 * c + 1000 * d }'
const file = (values: Readonly<Record<string, unknown>>) => ({ kind: 'hf', file: 'config.json', values }) as const

export const configs: Features = {
  '--set before config file, preset, default': {
    text: model(`${read}  preset "p" { a = 2  b = 2  c = 2 }`, {
      config: 'a: int = 1 @hf("a")  b: int = 1 @hf("b")  c: int = 1 @hf("c")  d: int = 1 @hf("d")',
    }),
    numbers: { preset: 'p', set: { a: '4' }, config: file({ a: 3, b: 3 }) },
    calls: [['f', {}, 4 + 30 + 200 + 1000]],
  },
  'null is none for optional fields and absence for others; keys have alternatives': {
    text: model('entry f() -> i32[] { return if w == none { b } else { w } }', {
      config: 'w: int? = 7 @hf("w")  b: int = 5 @hf("x", "deep.b", "b")',
    }),
    numbers: { config: file({ w: null, x: null, deep: { b: 6 }, b: 9 }) },
    calls: [['f', {}, 6]],
  },
  'an annotation stays until it is repeated; @hf() removes it': {
    text: `module test
      config A { a: int = 1 @hf("a") @gguf("{arch}.a")  b: int = 1 @hf("b")  c: int = 1 @hf("c") }
      config C extends A { a = 5  b = 6 @hf()  c = 7 @hf("z") }
      model M uses C { entry f() -> i32[] { return a * 100 + b * 10 + c } }`,
    numbers: { config: file({ a: 3, b: 3, c: 3 }) },
    calls: [['f', {}, 367]],
  },
  'texts and lists': {
    text: model(
      `part layers[i < depth]: L(kind: kinds[i], by: widths[i])  ${through('layers')}
       entry g() -> f32[] { return f32(scales[0] + scales[depth - 1]) }`,
      {
        config: `n: dim = 1  depth: dim = 3
          kinds: text[depth] = each(i < depth, if i in odd { "plus" } else { "times" })
          widths: dim[..] = [2, 3, 4]
          odd: int[..]? = [1]
          scales: float[3] = each(i < 3, 1.0 / (i + 1.0))
          act: text = "silu"
          require act in ["silu", "gelu"] and act != "relu"`.replace('int[..]?', 'int[..]'),
        before: `block L(kind: text, by: dim) uses C {
          fn forward(x: real[n]) -> real[n] { return if kind == "plus" { x + by } else { x * by } } }`,
      },
    ),
    calls: [
      ['f', { x: [1] }, [(2 + 3) * 4]],
      ['g', {}, 4 / 3],
    ],
  },
  'lists from a config file': {
    text: model(`part layers[i < depth]: L(kind: kinds[i])  ${through('layers')}`, {
      config: 'n: dim = 1  depth: dim = 3 @hf("kinds.length")  kinds: text[depth] = each(i < depth, "plus") @hf("deep.kinds", "kinds")',
      before: 'block L(kind: text) uses C { fn forward(x: real[n]) -> real[n] { return if kind == "plus" { x + 1.0 } else { x * 5.0 } } }',
    }),
    numbers: { config: file({ deep: { kinds: ['plus', 'times'] }, kinds: ['plus', 'plus'] }) },
    calls: [['f', { x: [1] }, [10]]],
  },
  'lists from --set; a list may be none': {
    text: model(
      'entry f() -> f32[] { return f32(xs[0] * 10 + xs[1] + fs[0]) + f32(if ts[1] == "b" and bs[0] and none_ == none { 1000 } else { 0 }) }',
      {
        config: 'xs: int[..] = [1, 2]  ts: text[..] = ["x"]  bs: bool[1] = [false]  fs: float[..] = [1.0]  none_: int[..]? = [1]',
      },
    ),
    numbers: { set: { xs: '[3, 4]', ts: 'a, b', bs: 'true', fs: '1.5', none_: 'none' } },
    calls: [['f', {}, 1035.5]],
  },
  'functions of compile time; a dim comes out whole': {
    text: model('entry f() -> f32[] { return f32(total) }  entry g() -> i32[] { return i32(rot + m) }', {
      config: `head: dim = 10  share: float = 0.25  rot: dim = floor(head * share)  m: dim = max(min(head, 3), 2)
        total: float = sqrt(4.0) + rsqrt(4.0) + log(exp(1.0)) + log2(8.0) + pow(2.0, 3.0) + abs(-1.0) + floor(2.7) + sin(0.0) + cos(0.0)
                       + tanh(0.0) + 7 % 4 + -7 % 4`,
    }),
    calls: [
      ['f', {}, 2 + 0.5 + 1 + 3 + 8 + 1 + 2 + 0 + 1 + 0 + 3 + 1],
      ['g', {}, 5],
    ],
  },
  '`and` and `or` stop early': {
    text: model('entry f() -> i32[] { return if window != none and window > 2 or n == 0 or 10 / n == 5 { 1 } else { 2 } }', {
      config: 'n: dim = 0  window: int? = none  require n == 0 or 10 % n == 0  require window == none or window > 0',
    }),
    calls: [['f', {}, 1]],
  },
  'requirements of configs, models, blocks and ops that hold': {
    text: model(`require n > 2, "n is {n}"  part p: P(k: 2)  ${entry('p(x)')}`, {
      config: 'n: dim = 3  require n % 3 == 0, "{n}"',
      before: `block P(k: int) uses C { require k < n, "{k}"  fn forward(x: real[n]) -> real[n] { return checked(x) } }
        op checked(x: real[n]) -> real[n] require n > 1, "{n}" { return x }`,
    }),
    calls: [['f', { x: [1, 2, 3] }, [1, 2, 3]]],
  },
  'names are looked up in variables, parameters, members, config': {
    text: model(
      'weight k: [n]  part a: A(n: 7)  entry f(x: real[n]) -> real[n] { let n2 = n  let n = 5  return x * n + k + real(a() + n2) }',
      {
        config: 'n: dim = 1  k: int = 100',
        before: 'block A(n: int) uses C { fn forward() -> i32[] { return i32(n * 10) } }',
      },
    ),
    calls: [['f', { x: [1] }, [5 + 1 + 71]]],
  },
  'words that are names where the grammar does not ask for them': {
    text: model(`weight when: [n]  weight tied: [n]
      entry f(x: real[n]) -> real[n] { let with = x  let drop = with + when  let preset = drop + tied  return preset }`),
    calls: [['f', { x: [1, 2, 3] }, [3, 6, 9]]],
  },
  'imports: packages and their own files, the project’s root, beside the file': {
    text: `module test
      import "@acme/models/deep/foo" { Foo, C }
      import "plain" { thrice }
      import lib.more { more }
      model M extends Foo { entry g(x: real[n]) -> real[n] { return thrice(more(x)) } }`,
    files: {
      'node_modules/@acme/models/deep/foo.dsl':
        'module foo import near { one } import base { ten } config C { n: dim = 1 } model Foo uses C { entry f(x: real[n]) -> real[n] { return ten(one(x)) } }',
      'node_modules/@acme/models/deep/near.dsl':
        'module near import "plain" { thrice } op one(x: real[n]) -> real[n] { return thrice(x) + 1.0 }',
      'node_modules/@acme/models/base.dsl': 'module base op ten(x: real[n]) -> real[n] { return x * 10.0 }',
      'node_modules/@acme/models/node_modules/plain/index.dsl': 'module plain op thrice(x: real[n]) -> real[n] { return x * 4.0 }',
      'node_modules/plain/index.dsl': 'module plain op thrice(x: real[n]) -> real[n] { return x * 3.0 }',
      'base.dsl': 'module base op ten(x: real[n]) -> real[n] { return x }',
      'lib/more.dsl': 'module lib.more op more(x: real[n]) -> real[n] { return x + 1.0 }',
    },
    calls: [
      ['f', { x: [2] }, [90]],
      ['g', { x: [2] }, [9]],
    ],
  },
}
