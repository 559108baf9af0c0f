// Wrong programs: each gives its code, says what is wrong in the author's own names, and points at the author's own text.

import { describe, expect, test } from 'vitest'
import { check, load, pointed, program } from './read-models.ts'

const file = (body: string, imports = ''): string => `module test
import std.nn        { rms_norm, silu, gelu, softmax }
import std.attention { attend, causal }
${imports}
config C {
  embed: dim = 64   heads: dim = 4   kv_heads: dim = 2   head_dim: dim = 16   vocab: dim = 100   depth: dim = 2   ctx: dim = 32
  bias: bool = false   window: int? = none
}
${body}`

const block = (members: string): string => file(`block B uses C {\n${members}\n}`)

interface Wrong {
  readonly code: string
  readonly text: string
  readonly says: RegExp
  readonly at?: string
  readonly help?: RegExp
}

const wrong: Readonly<Record<string, Wrong>> = {
  'an unknown name': {
    code: 'L201',
    text: block('fn f(x: real[seq, embed]) -> real[seq, embed] { return x * embd }'),
    says: /unknown name `embd`/,
    at: 'embd',
    help: /`embed`/,
  },
  'an unknown function': { code: 'L201', text: block('fn f(x: real[n]) -> real[n] { return sulu(x) }'), says: /`sulu`/, help: /`silu`/ },
  'a size like a field': {
    code: 'L212',
    text: block('fn f(x: real[embd]) -> real[embd] { return x }'),
    says: /`embd` looks like the config field `embed`/,
  },
  'axes in no common order': {
    code: 'L220',
    text: block('fn f(a: real[s], b: real[t]) -> real[s, t] { return a * b }'),
    says: /cannot be lined up/,
    at: 'a * b',
    help: /expand\(x, \[s, t\]\)/,
  },
  'one axis of two lengths': {
    code: 'L221',
    text: block('fn f(a: real[s], b: real[t]) -> real[s] { return a + rename(b, t -> s) }'),
    says: /`s` has two different lengths/,
  },
  'a size told twice': {
    code: 'L224',
    text: block(`state keys: real[ctx, kv_heads, head_dim]
      fn f(q: real[seq, heads, head_dim], start: index) -> real[seq, heads, head_dim] {
        return attend(q, keys[ctx: 0 ..+ start + seq], keys[ctx: 0 ..+ start + seq], mask: causal(start + iota(seq), iota(ctx = seq)))
      }`),
    says: /`attend` was told two different lengths for `t`/,
    at: 'causal(start + iota(seq), iota(ctx = seq))',
  },
  'mixed element types': {
    code: 'L226',
    text: block('fn f(a: real[s], b: f32[s]) -> f32[s] { return a + b }'),
    says: /mixed element types real and f32/,
    help: /f32\(/,
  },
  'one label twice': {
    code: 'L228',
    text: block('fn f(p: i32[seq]) -> bool[seq, k = seq] { return rename(causal(p, p), seq -> k) }'),
    says: /two axes called `seq`/,
    at: 'causal(p, p)',
    help: /rename/,
  },
  'axes apart': {
    code: 'L230',
    text: block('fn f(x: real[a, b, c]) -> real[n = a * c, b] { return merge(x, (a, c) -> n) }'),
    says: /not neighbours/,
  },
  'an uneven split': {
    code: 'L231',
    text: block('fn f(x: real[heads]) -> real[kv_heads, n = heads / kv_heads] { return split(x, heads -> (kv_heads, n)) }'),
    says: /cannot split `heads` evenly by kv_heads \(no fact known\)/,
    help: /require heads % kv_heads == 0/,
  },
  'a choice by a tensor': {
    code: 'L240',
    text: block('fn f(x: real[s]) -> real[s] { return if x > 0.0 { x } else { -x } }'),
    says: /depends on a tensor/,
    help: /where/,
  },
  'unlike sides': {
    code: 'L242',
    text: block('fn f(x: real[s, t]) -> real[s, t] { return if bias { x } else { sum(x, over: t) } }'),
    says: /two sides of `if` differ/,
  },
  'no such axis': {
    code: 'L301',
    text: block(
      'weight wo: [embed, kv_heads, head_dim]\nfn f(mix: real[seq, heads, head_dim]) -> real[seq, embed] { return dot(mix, wo, over: [heads, head_dim]) }',
    ),
    says: /`dot` cannot contract over `heads`: the right side has no such axis/,
    help: /kv_heads/,
  },
  'nothing to sum over': {
    code: 'L301',
    text: block('fn f(x: real[s, t]) -> real[s] { return softmax(f32(x), over: u) }'),
    says: /cannot work over `u`/,
  },
  'store of another shape': {
    code: 'L310',
    text: block('state keys: real[ctx, head_dim]\nfn f(x: real[seq, embed], start: index) { store keys[ctx: start ..+ seq] = x }'),
    says: /place and value differ/,
    at: 'store keys[ctx: start ..+ seq] = x',
  },
  'a store of other elements': {
    code: 'L226',
    text: block('state keys: real[ctx, embed]\nfn f(x: f32[seq, embed], start: index) { store keys[ctx: start ..+ seq] = x }'),
    says: /real and f32/,
  },
  'a loop that changes a type': {
    code: 'L312',
    text: file(`block B uses C { fn forward(x: real[seq, embed]) -> f32[seq, embed] { return f32(x) } }
      model M uses C { part bs[i < depth]: B()
        fn f(x: real[seq, embed]) -> real[seq, embed] { let y = x  for b in bs { y = b(x) }  return y } }`),
    says: /`y` changes type inside the loop/,
    at: 'b(x)',
  },
  'a promise broken': {
    code: 'L313',
    text: block('fn f(x: real[s, embed]) -> real[s] { return x }'),
    says: /`f` does not give what it promises/,
  },
  'a missing argument': {
    code: 'L320',
    text: block('fn g(x: real[seq], start: index) -> real[seq] { return x }\nfn f(x: real[seq]) -> real[seq] { return g(x) }'),
    says: /argument `start` is missing/,
    at: 'g(x)',
  },
  'an argument too many': {
    code: 'L321',
    text: block('fn f(x: real[n]) -> real[n] { return rms_norm(x, x, epsilon: 1.0) }'),
    says: /no parameter `epsilon`/,
  },
  'an optional used untested': {
    code: 'L211',
    text: block('fn f(x: i32[s]) -> i32[s] { return x - window }'),
    says: /`window` may be none/,
    help: /!= none/,
  },
  'a conditional weight used always': {
    code: 'L208',
    text: block('weight b: [embed] when bias\nfn f(x: real[s, embed]) -> real[s, embed] { return x + b }'),
    says: /only when bias/,
  },
  'a field of the wrong axis': {
    code: 'L223',
    text: block('fn g(x: real[s, embed]) -> real[s, embed] { return x }\nfn f(x: real[s, t]) -> real[s, t] { return g(x) }'),
    says: /wants the axis `embed`/,
  },
  'a circle of defaults': {
    code: 'L403',
    text: file('config D extends C { a: dim = b  b: dim = a }\nmodel M uses D { preset "p" { } }'),
    says: /a → b → a/,
  },
  'nothing to override': {
    code: 'L410',
    text: file(
      'model M extends Llama uses LlamaConfig { override fn embed_token(t: i32[seq]) -> real[seq, embed] { return super(t) } }',
      'import llama { Llama, LlamaConfig }',
    ),
    says: /nothing called `embed_token` to override in `Llama`/,
    help: /embed_tokens/,
  },
  'a missing override': {
    code: 'L411',
    text: file('block N extends RMSNorm { fn forward(x: real[..b, embed]) -> real[..b, embed] { return x } }', 'import llama { RMSNorm }'),
    says: /`forward` exists in `RMSNorm`; write `override`/,
    at: 'forward',
  },
  'nothing to drop': {
    code: 'L412',
    text: file('block N extends RMSNorm { drop gian }', 'import llama { RMSNorm }'),
    says: /`gian`/,
    help: /gain/,
  },
  'a replacement that gives something else': {
    code: 'L415',
    text: file(
      'op half(x: T[..s, n]) -> T[..s] { return sum(x, over: n) }\nmodel M extends Llama uses LlamaConfig { replace silu with half }',
      'import llama { Llama, LlamaConfig }',
    ),
    says: /`replace silu with half`/,
  },
  'a field a block cannot see': {
    code: 'L201',
    text: file(
      'config D extends C { extra: dim = 3 }\nblock B uses C { fn f(x: real[s]) -> real[s] { return x * extra } }\nmodel M uses D { part b: B() }',
    ),
    says: /`B` uses C, which has no `extra`/,
    help: /uses D/,
  },
  'an unknown field set': { code: 'L201', text: file('config D extends C { embedd = 3 }'), says: /has no field `embedd`/, help: /embed/ },
  'an unknown import': { code: 'L201', text: file('', 'import llama { Lama }'), says: /nothing called `Lama`/, help: /Llama/ },
  'a missing module': { code: 'L202', text: file('', 'import nowhere { X }'), says: /nowhere/ },
}

describe('one mistake, one message', () => {
  test.each(Object.entries(wrong))('%s', (_, { code, text, says, at, help }) => {
    let diagnostics = check(text)
    if (code === 'L403') diagnostics = program(text).specialise({ preset: 'p' }).diagnostics
    expect(diagnostics.map((d) => d.code)).toEqual([code])
    const [d] = diagnostics
    expect(d?.message).toMatch(says)
    if (at !== undefined) expect(d && pointed(d)).toContain(at)
    if (help) expect(d?.help).toMatch(help)
  })
})

test('what follows from an unknown name is not reported', () => {
  const text = block('fn f(x: real[s]) -> real[s] { let y = nope(x)  let z = y + 1.0  return dot(z, z, over: q) }')
  expect(check(text).map((d) => d.code)).toEqual(['L201'])
})

describe('numbers that do not fit', () => {
  const llama = load('llama')
  const codes = (numbers: Parameters<typeof llama.specialise>[0]): string[] =>
    llama.specialise(numbers).diagnostics.map((d) => `${d.code} ${d.message}`)

  test('an unknown preset lists those there are', () => {
    expect(codes({ preset: '70B' })[0]).toMatch(/^L404 preset "70B" is not defined; there are "7B", "13B"/)
  })
  test("a requirement fails with the author's text", () => {
    expect(codes({ set: { heads: '6', kv_heads: '4', embed: '48' } })).toEqual(['L401 heads (6) must be a multiple of kv_heads (4)'])
  })
  test('a division that is not whole', () => {
    expect(codes({ set: { heads: '6', kv_heads: '3', embed: '50' } })[0]).toMatch(/^L231 50 is not a whole multiple of 6/)
  })
  test('holes of a text are expressions', () => {
    const text = file(
      'config D extends C { require embed % 7 == 0, "{embed} / 7 leaves {embed % 7}, {nothing} {window}" } model M uses D { preset "p" { } }',
    )
    expect(program(text).specialise({ preset: 'p' }).diagnostics[0]?.message).toBe('64 / 7 leaves 1, {nothing} none')
  })
  test('an odd head size is found in the library and points back at the model', () => {
    const { diagnostics } = llama.specialise({ set: { heads: '4', kv_heads: '4', embed: '12' } })
    expect(diagnostics.map((d) => `${d.code} ${d.message}`)).toEqual(['L231 3 is not a whole multiple of 2'])
    expect(diagnostics[0]?.labels.map((l) => l.span.source.path)).toEqual(['std/rope.dsl', 'models/llama.dsl'])
  })
  test('an unknown field, a wrong type', () => {
    expect(codes({ set: { kv_head: '4' } })[0]).toMatch(/^L406 --set kv_head/)
    // From JavaScript, numbers may be numbers.
    expect(codes({ set: { heads: 6, kv_heads: 4, embed: 48 } })).toEqual(['L401 heads (6) must be a multiple of kv_heads (4)'])
    expect(codes({ set: { heads: 'many' } })[0]).toMatch(/^L402 --set heads=many, but `heads` is `dim`/)
  })
  test('keys that change the model are never ignored', () => {
    const config = (values: Record<string, unknown>): string[] => codes({ config: { kind: 'hf', values, file: 'config.json' } })
    expect(config({ mlp_bias: true })[0]).toMatch(/^L505 config.json says `mlp_bias: true`/)
    expect(config({ sliding_window: 4096, rope_scaling: { type: 'linear', factor: 2 } }).length).toBe(2)
    expect(config({ sliding_window: null, mlp_bias: false, attention_dropout: 0.1, hidden_act: 'silu' })).toEqual([])
    expect(config({ hidden_act: 'gelu' })[0]).toMatch(/^L505/)
  })
  test('a list read by a tensor: numbers only, and no further than it goes', () => {
    const text = (type: string, values: string, places: string): string =>
      file(`config D extends C { xs: ${type}[..] = ${values} }
        model M uses D { entry e(t: i32[embed]) -> f32[r = 3] { return xs[${places}] } preset "p" { } }`)
    const said = (source: string): string[] =>
      program(source)
        .specialise({ preset: 'p' })
        .diagnostics.map((d) => `${d.code} ${d.message}`)
    expect(said(text('float', '[1, 0.5, 2]', 'iota(r = 3)'))).toEqual([])
    expect(said(text('float', '[1, 0.5]', 'iota(r = 3)'))[0]).toMatch(/^L233 this reaches outside: .*2 places/)
    expect(check(text('text', '["a", "b", "c"]', 'iota(r = 3)')).map((d) => `${d.code} ${d.message}`)[0]).toMatch(
      /^L206 only a list of numbers/,
    )
  })
  test('a range that can never fit', () => {
    const text = file(
      'model M uses C { weight w: [ctx, embed]  entry e(t: i32[seq]) -> real[n = 40, embed] { return rename(w[ctx: 0 ..+ 40], ctx -> n) } preset "p" { } }',
    )
    expect(
      program(text)
        .specialise({ preset: 'p' })
        .diagnostics.map((d) => d.code),
    ).toEqual(['L233'])
  })
  test('a table that lacks a weight, and one that names too much', () => {
    const base = (rules: string): string =>
      `model N uses C { weight w: [embed]  weight v: [embed]  checkpoint hf { ${rules} }  preset "p" { } }`
    const inNumbers = (text: string): string[] =>
      program(file(text))
        .specialise({ preset: 'p' })
        .model?.checkpoint('hf')
        .diagnostics.map((d) => d.code) ?? []
    const early = (rules: string): string[] => check(file(base(rules))).map((d) => d.code)
    const table = (rules: string): string[] => [...early(rules), ...inNumbers(base(rules))]
    const derived = (rules: string): string[] =>
      inNumbers(`${base('w, v <- "a" |> chunk(2)')}  model M extends N uses C { checkpoint hf { inherit hf  ${rules} }  preset "p" { } }`)
    expect(table('w <- "a"  v <- "b"')).toEqual([])
    expect(table('w <- "a"')).toEqual(['L501'])
    expect(early('w <- "a"  v <- "b"  u <- "c"')).toEqual(['L503'])
    expect(early('w <- "a"  v <- "b" |> transposed')).toEqual(['L507'])
    expect(early('w <- "a"  v <- "b" |> chunk(group: 2)')).toEqual(['L507'])
    expect(early('w <- "a"  v <- "b"  w <- "c"')).toEqual(['L204'])
    expect(early('w <- "a{i}"  v <- "b"')).toEqual(['L508'])
    expect(derived('v <- "b"')).toEqual(['L506'])
    expect(derived('v <- "b"  w <- "c"')).toEqual([])
  })
})
