// Sources that mean harm, or that nobody meant: long lines, deep nesting, huge numbers, recursion, texts that describe work without
// end, odd characters. Each with its verdict.

const times = (text: string, count: number): string => text.repeat(count)
const model = (body: string, top = '') => `module m\n${top}\nmodel M {\n${body}\n}\n`
const op = (expr: string, top = '') =>
  `module m\n${top}\nop f(x: f32[n]) -> f32[n] {\n return ${expr}\n}\nmodel M { entry e(x: f32[n]) -> f32[n] { return f(x) } runtime n: 1 ..= 8 }\n`
const N = 100_000
const lines = (n: number, f: (i: number) => string) => Array.from({ length: n }, (_, i) => f(i)).join('\n')
const chainOps = (n: number, body: (p: string) => string) =>
  `module m\nop f0(x: f32[n]) -> f32[n] { return x }\n` +
  lines(n, (i) => `op f${i + 1}(x: f32[n]) -> f32[n] { return ${body(`f${i}`)} }`) +
  `\nmodel M { entry e(x: f32[n]) -> f32[n] { return f${n}(x) } runtime n: 1 ..= 8 }\n`
/** By name: the codes of the errors that are told, or 'ok' (with `|` between verdicts of which any will do), and the text. */
export const sources: Readonly<Record<string, readonly [verdict: string, text: () => string]>> = {
  line10MB: ['L100', () => op(times('x + ', 2_500_000) + 'x')],
  line240kPlus: ['L100', () => op(times('x+', 119_000) + 'x')],
  line240kString: ['E_NO_MODEL', () => `module m config C { a: text = "${times('a', 240_000)}" }`],
  line240kUnclosed: ['L103', () => `module m config C { a: text = ${times('"', 240_001)} }`],
  line240kId: ['L201', () => op(times('a', 240_000))],
  line240kSpaces: ['ok', () => op('x' + times(' ', 240_000))],
  line240kDots: ['L100', () => op('x' + times('.', 240_000))],
  line240kSlashes: ['L101', () => op('x' + times('/ ', 55_000))],
  configReversed: [
    'L260',
    () =>
      `module m config A { ${lines(3000, (i) => `a${i}: dim = a${i + 1}`)} a3000: dim = 4 } model M uses A { weight w: [a0] entry e() -> real[a0] { return w } }`,
  ],
  tallCalls: [
    'L260',
    () =>
      `module m\nop f0(x: f32[n]) -> f32[n] { return x }\n${lines(95, (i) => `op f${i + 1}(x: f32[n]) -> f32[n] { return f${i}(x)${times(' + 1.0', 250)} }`)}\nmodel M { entry e(x: f32[n]) -> f32[n] { return f95(x) } runtime n: 1 ..= 8 }\n`,
  ],
  runtimeFloat: [
    'L226',
    () =>
      `module m op cap(x: f32[n], most: float) -> f32[n] { return x * most } model M { entry e(x: f32[n]) -> f32[n] { return cap(x, most: n) } runtime n: 1 ..= 8 }`,
  ],
  beyondF32: ['ok', () => op('x * 1e308')],
  parens20k: ['L105', () => op(times('(', 20_000) + 'x' + times(')', 20_000))],
  squares20k: ['L105', () => op(times('[', 20_000) + 'x' + times(']', 20_000))],
  curlies15k: ['L105', () => `module m op f(x: f32[n]) -> f32[n] ${times('{ if x ', 15_000)}`],
  members25k: ['L105', () => op('x' + times('.a', 25_000))],
  parens: ['L100', () => op(times('(', N) + 'x' + times(')', N))],
  squares: ['L100', () => op(times('[', N) + 'x' + times(']', N))],
  curliesClose: ['L100', () => `module m ${times('}', N)}`],
  minus: ['L100', () => op(times('-', N) + 'x')],
  minusMid: ['ok', () => op(times('- ', 99) + 'x')],
  nots: ['L105', () => op(times('not ', N / 2) + 'x')],
  ifs: ['L100', () => op(times('if 1 == 1 { ', 8000) + 'x' + times(' } else { x }', 8000))],
  ifs99: ['ok', () => op(times('if 1 == 1 { ', 98) + 'x' + times(' } else { x }', 98))],
  elseIfs: ['L101', () => op(times('if 1 == 2 { x } else ', 5000) + '{ x }')],
  elseChain: ['L241', () => op(times('if n == 2 { x } else { ', 90) + 'x' + times(' }', 90))],
  ifBothNest: [
    'L100',
    () => {
      let e = 'x'
      for (let i = 0; i < 13; i++) e = `if n == ${i} { ${e} } else { ${e} }`
      return op(e)
    },
  ],
  condNest: [
    'L241',
    () => {
      let e = 'n == 1'
      for (let i = 0; i < 90; i++) e = `if ${e} { true } else { false }`
      return op(`if ${e} { x } else { x }`)
    },
  ],
  fors: [
    'L105',
    () =>
      model(
        `part p[i < 2]: P() fn g() { ${times('for a in p { ', 9000)} ${times('}', 9000)} }`,
        'block P { fn forward(x: f32[n]) -> f32[n] { return x } }',
      ),
  ],
  blocksNest: ['L100', () => `module m ${times('block B { ', 20000)}`],
  pluses390: ['ok', () => op(times('x + ', 390) + 'x')],
  pipes: ['L100', () => op('x' + times(' |> exp()', 20_000))],
  members: ['L100', () => op('x' + times('.a', N))],
  cmpChain: ['L101', () => op(times('x < ', 20_000) + 'x')],
  huge1e400: ['L106', () => op('x * 1e400')],
  huge1e400neg: ['ok', () => op('x * 1e-400')],
  digits: ['L106', () => op(`x * ${times('9', N)}`)],
  digitsExp: ['L106', () => op(`x * 1e${times('9', N)}`)],
  digitsFrac: ['ok', () => op(`x * 0.${times('9', N)}`)],
  bigInt: ['L106', () => op('x * 9007199254740993')],
  dimOverflow: [
    'L301',
    () =>
      model('weight w: [k = a * a * a * a] entry e() -> f32[a] { return w[a: 0 ..+ a] }', '').replace(
        'model M {',
        'config C { a: dim = 9007199254740991 } model M uses C {',
      ),
  ],
  dimProduct: [
    'L260',
    () => 'module m config C { a: dim = 94906266 b: dim = a * a * a } model M uses C { weight w: [b] entry e() -> real[b] { return w } }',
  ],
  dimMul: [
    'L260',
    () =>
      `module m config C { a: dim = 3 ${lines(80, (i) => `a${i}: dim = ${i ? `a${i - 1}` : 'a'} * ${i ? `a${i - 1}` : 'a'}`)} } model M uses C { weight w: [a79] entry e() -> real[a79] { return w } }`,
  ],
  sizeGrow: [
    'L260',
    () =>
      `module m config C { a: dim = 1 b: dim = 1 ${lines(12, (i) => `a${i}: dim = (${i ? `a${i - 1}` : 'a'} + b) * (${i ? `a${i - 1}` : 'a'} + b + ${i})`)} } model M uses C { weight w: [a11] entry e() -> real[a11] { return w } preset "p" { a = 1 b = 1 } }`,
  ],
  sizeBlow4: [
    'L260',
    () =>
      `module m op f(x: f32[a, b, c, d]) -> f32[a, b, c, d] { let z0 = a + b + c + d ${lines(6, (i) => `let z${i + 1} = z${i} * z${i}`)} let y = iota(q = z6) return x }`,
  ],
  sizeDivs: [
    'L260',
    () =>
      `module m op f(x: f32[n, m]) -> f32[n, m] { let a0 = n ${lines(40, (i) => `let a${i + 1} = (a${i} + ${i}) / (m + a${i})`)} let y = iota(q = a40) return x }`,
  ],
  rationals: [
    'L260',
    () =>
      `module m op f(x: f32[n, m]) -> f32[n, m] { let a0 = n ${lines(200, (i) => `let a${i + 1} = a${i} / ${2 * i + 3} + n / ${2 * i + 5}`)} let y = iota(q = a200) return x }`,
  ],
  opTwiceDiff: ['L260', () => chainOps(40, (f) => `${f}(x) + ${f}(x * 2.0)`)],
  opOnce5000: ['L100', () => chainOps(5000, (f) => `${f}(x)`)],
  opSelf: ['L203', () => op('f(x)')],
  opMutual: [
    'L203 L260',
    () =>
      `module m op f(x: f32[n]) -> f32[n] { return g(x) + g(x) } op g(x: f32[n]) -> f32[n] { return f(x) + f(x) } model M { entry e(x: f32[n]) -> f32[n] { return f(x) } runtime n: 1 ..= 8 }`,
  ],
  blockSelf: [
    'L203 L260',
    () =>
      `module m block B { part p: B() part q: B() fn forward(x: f32[n]) -> f32[n] { return p(q(x)) } } model M { part b: B() entry e(x: f32[n]) -> f32[n] { return b(x) } runtime n: 1 ..= 8 }`,
  ],
  blockSelfGrow: [
    'L203 L260',
    () =>
      `module m block B(k: dim) { part p: B(k: k + 1) part q: B(k: k * 2) fn forward(x: f32[n]) -> f32[n] { return p(q(x)) } } model M { part b: B(k: 1) entry e(x: f32[n]) -> f32[n] { return b(x) } runtime n: 1 ..= 8 }`,
  ],
  blockChain: [
    'L260',
    () =>
      `module m block B0 { weight w: [k = 4] fn forward(x: f32[n]) -> f32[n] { return x } }\n` +
      lines(25, (i) => `block B${i + 1} { part p: B${i}() part q: B${i}() fn forward(x: f32[n]) -> f32[n] { return p(q(x)) } }`) +
      `model M { part b: B25() entry e(x: f32[n]) -> f32[n] { return b(x) } runtime n: 1 ..= 8 }`,
  ],
  blockChainArrays: [
    'L260',
    () =>
      `module m block B0 { weight w: [k = 4] fn forward(x: f32[n]) -> f32[n] { return x } }\n` +
      lines(
        9,
        (i) => `block B${i + 1} { part p[i < 10]: B${i}() fn forward(x: f32[n]) -> f32[n] { let y = x for a in p { y = a(y) } return y } }`,
      ) +
      `model M { part b: B9() entry e(x: f32[n]) -> f32[n] { return b(x) } runtime n: 1 ..= 8 }`,
  ],
  blockExtendsSelf: ['L203', () => 'module m block B extends B { } model M { part b: B() }'],
  blockExtendsMutual: ['L203', () => 'module m block A extends B { } block B extends A { } model M extends M { }'],
  configMutual: ['L203', () => 'module m config A extends B { } config B extends A { } model M uses A { }'],
  configValueMutual: [
    'L403',
    () => 'module m config A { a: dim = b b: dim = a } model M uses A { weight w: [a] entry e() -> real[a] { return w } }',
  ],
  configChainLong: [
    'ok',
    () =>
      `module m config A { a0: dim = 1 ${lines(4000, (i) => `a${i + 1}: dim = a${i}`)} } model M uses A { weight w: [a4000] entry e() -> real[a4000] { return w } }`,
  ],
  extendsLong: [
    'L260',
    () =>
      `module m block B0 { fn forward(x: f32[n]) -> f32[n] { return x } }\n` +
      lines(4000, (i) => `block B${i + 1} extends B${i} { }`) +
      ` model M { part b: B4000() entry e(x: f32[n]) -> f32[n] { return b(x) } runtime n: 1 ..= 8 }`,
  ],
  configExtendsLong: [
    'L260 L201',
    () =>
      `module m config B0 { a: dim = 4 }\n` +
      lines(4000, (i) => `config B${i + 1} extends B${i} { a = ${i} }`) +
      ` model M uses B4000 { weight w: [a] entry e() -> real[a] { return w } }`,
  ],
  tiedSelf: ['L301', () => model('weight a: [k = 4] tied a entry e() -> real[n = 4] { return rename(a, x -> n) }')],
  tiedMutual: [
    'L203',
    () =>
      'module m config C { v: dim = 4 } model M uses C { weight a: [v] tied b weight b: [v] tied a entry e() -> real[v] { return a + b } }',
  ],
  importSelf: ['L203', () => 'module m import main { f } op f(x: f32[n]) -> f32[n] { return x }'],
  depth1e9: [
    'L260',
    () =>
      `module m config C { depth: dim = 1000000000 v: dim = 4 } block B uses C { weight w: [v] fn forward(x: real[v]) -> real[v] { return x + w } } model M uses C { part p[i < depth]: B() entry e(x: real[v]) -> real[v] { let y = x for a in p { y = a(y) } return y } }`,
  ],
  depthGroups: [
    'L260',
    () =>
      `module m config C { depth: dim = 50000 v: dim = 4 } block B(k: dim) uses C { weight w: [v] fn forward(x: real[v]) -> real[v] { return x + w } } model M uses C { part p[i < depth]: B(k: i) entry e(x: real[v]) -> real[v] { let y = x for a in p { y = a(y) } return y } }`,
  ],
  depthNeg: [
    'L402',
    () =>
      `module m config C { depth: dim = 0 - 5 v: dim = 4 } block B uses C { weight w: [v] fn forward(x: real[v]) -> real[v] { return x + w } } model M uses C { part p[i < depth]: B() entry e(x: real[v]) -> real[v] { let y = x for a in p { y = a(y) } return y } }`,
  ],
  depthFraction: [
    'L231',
    () =>
      `module m config C { v: dim = 4 } block B uses C { weight w: [v] fn forward(x: real[v]) -> real[v] { return x + w } } model M uses C { part p[i < v / 3]: B() entry e(x: real[v]) -> real[v] { let y = x for a in p { y = a(y) } return y } }`,
  ],
  each1e9: [
    'L260',
    () =>
      `module m config C { a: dim[..] = each(i < 1000000000, i) v: dim = 4 } model M uses C { weight w: [v] entry e() -> real[v] { return w } }`,
  ],
  eachNested: [
    'L260',
    () =>
      `module m config C { a: int = ${'each(i < 1000, '.repeat(1)}each(j < 1000000, j))[0][0] v: dim = 4 } model M uses C { weight w: [v] entry e() -> real[v] { return w } }`,
  ],
  stack1e9: [
    'L260 L501',
    () =>
      `module m config C { v: dim = 1000000000 } model M uses C { weight w: [v] entry e() -> real[v] { return w } checkpoint hf { w <- stack(e < v, "{e}") } }`,
  ],
  seqMax: ['E_MEMORY_TOO_LARGE|L601', () => model('entry e(x: f32[n]) -> f32[n] { return x } runtime n: 1 ..= 9007199254740991')],
  seqMaxNeg: ['L236', () => model('entry e(x: f32[n]) -> f32[n] { return x } runtime n: 9 ..= 1')],
  seqFloat: ['ok', () => model('entry e(x: f32[n]) -> f32[n] { return x } runtime n: 0.5 ..= 1e300')],
  padHuge: [
    'E_MEMORY_TOO_LARGE|L601',
    () =>
      `module m config C { v: dim = 1000000000000 } model M uses C { entry e(x: f32[n]) -> f32[n, v] { return expand(x, [n, v]) } runtime n: 1 ..= 8 }`,
  ],
  iotaHuge: [
    'E_MEMORY_TOO_LARGE|L601',
    () => `module m config C { v: dim = 1000000000000 } model M uses C { entry e() -> i32[v] { return iota(v) + 1 } }`,
  ],
  constFoldHuge: [
    'ok',
    () => `module m config C { v: dim = 100000000 } model M uses C { entry e() -> f32[v] { return sin(f32(iota(v))) } }`,
  ],
  nul: ['L102', () => op('x + \0 x')],
  bom: ['ok', () => '\uFEFF' + op('x')],
  bomMid: ['ok', () => op('x \uFEFF + \uFEFFx')],
  crlf: ['ok', () => op('x + x').replaceAll('\n', '\r\n')],
  cr: ['ok', () => op('x + x').replaceAll('\n', '\r')],
  surrogate: ['L102', () => op('x + \uD800')],
  surrogateStr: [
    'L401',
    () =>
      'module m config C { a: text = "\uD800" } model M uses C { require a == "x", "{a} \uDFFF\u202E" entry e(x: f32[n]) -> f32[n] { return x } runtime n: 1 ..= 8 }',
  ],
  unicodeId: ['L102', () => op('é + ünï')],
  bidi: ['L102', () => op('x /* \u202E */ + x')],
  bidiComment: ['ok', () => op('x // \u202E evil\n + x')],
  badChars: ['L102', () => op(times('§', 120_000))],
  emptyFile: ['L101', () => ''],
  blanks: ['L101', () => times(' ', 240_000)],
  manyFields: [
    'ok',
    () =>
      `module m config C { ${lines(8000, (i) => `a${i}: dim = 1`)} } model M uses C { weight w: [a0] entry e() -> real[a0] { return w } }`,
  ],
  longNames: [
    'L201',
    () => `module m config C { ${times('a', 100_000)}: dim = 1 ${times('a', 100_001)}b: dim = ${times('b', 40_000)} } model M uses C { }`,
  ],
  similarNames: [
    'L201',
    () =>
      `module m config C { ${lines(2000, (i) => `${times('a', 60)}${i}: dim = 1`)} } model M uses C { ${lines(300, (i) => `weight w${i}: [${times('a', 60)}x${i}]`)} }`,
  ],
  holes: [
    'L401',
    () =>
      `module m config C { v: dim = 4 require v == 5, "${times('{v}', 30000)}" } model M uses C { weight w: [v] entry e() -> real[v] { return w } }`,
  ],
  holesDeep: [
    'L401',
    () =>
      `module m config C { v: dim = 4 require v == 5, "{${times('(', 9000)}v}" } model M uses C { weight w: [v] entry e() -> real[v] { return w } }`,
  ],
  holesCode: [
    'L401',
    () =>
      `module m config C { v: dim = 4 require v == 5, "{1 } config D { a: dim = 1}" } model M uses C { weight w: [v] entry e() -> real[v] { return w } }`,
  ],
  rank: [
    'L260',
    () =>
      model(
        `entry e(x: f32[${Array.from({ length: 3000 }, (_, i) => `a${i}`).join(', ')}]) -> f32[a0] { return sum(x, over: [${Array.from({ length: 2999 }, (_, i) => `a${i + 1}`).join(', ')}]) }`,
      ),
  ],
  entryWithLoop: ['L203', () => model('entry a = b with n = 1 entry b = a with n = 1')],
  entryWithSelf: ['L203', () => model('entry a = a with n = 1')],
  powHuge: [
    'L402',
    () => `module m config C { v: dim = floor(pow(10, pow(10, 10))) } model M uses C { weight w: [v] entry e() -> real[v] { return w } }`,
  ],
  nanDim: [
    'L402',
    () => `module m config C { v: dim = floor(log(0 - 1)) } model M uses C { weight w: [v] entry e() -> real[v] { return w } }`,
  ],
  infDim: ['L402', () => `module m config C { v: dim = inf } model M uses C { weight w: [v] entry e() -> real[v] { return w } }`],
  divZero: ['L234', () => `module m config C { v: dim = 4 / (2 - 2) } model M uses C { weight w: [v] entry e() -> real[v] { return w } }`],
  remHuge: [
    'L260',
    () =>
      `module m config C { v: dim = 9007199254740991 % 3 w: dim = 9007199254740991 + 9007199254740991 } model M uses C { weight x: [w] entry e() -> real[w] { return x } }`,
  ],
  gcdFrac: [
    'L402',
    () =>
      `module m config C { a: float = 0.1 v: dim = floor(a * 1e308 * 1e308) } model M uses C { weight w: [v] entry e() -> real[v] { return w } }`,
  ],
  concatDouble40: [
    'E_PROGRAM_TOO_LARGE',
    () =>
      model(
        `entry e(x: f32[n]) -> f32[m = n * 1099511627776] { let y0 = rename(x, n -> m) ${lines(40, (i) => `let y${i + 1} = concat(y${i}, y${i}, over: m)`)} return y40 } runtime n: 1 ..= 8`,
      ),
  ],
  letDouble: [
    'ok',
    () =>
      model(
        `entry e(x: f32[n]) -> f32[n] { let y0 = x ${lines(60, (i) => `let y${i + 1} = y${i} + y${i} * 2.0`)} return y60 } runtime n: 1 ..= 8`,
      ),
  ],
  letLong: [
    'E_PROGRAM_TOO_LARGE',
    () =>
      model(
        `entry e(x: f32[n]) -> f32[n] { let y0 = x ${lines(3000, (i) => `let y${i + 1} = y${i} + ${i % 7}.5`)} return y3000 } runtime n: 1 ..= 8`,
      ),
  ],
  blockReplaceCycle: [
    'ok',
    () =>
      `module m block A { part p: B() fn forward(x: f32[n]) -> f32[n] { return p(x) } } block B { fn forward(x: f32[n]) -> f32[n] { return x } } model M { replace B with A part a: A() entry e(x: f32[n]) -> f32[n] { return a(x) } runtime n: 1 ..= 8 }`,
  ],
  ifPart: [
    'ok',
    () =>
      `module m config C { v: dim = 4 } block A uses C { fn forward(x: real[v]) -> real[v] { return x } } model M uses C { part p: ${times('if v == 1 { A() } else { ', 90)} A() ${times('}', 90)} entry e(x: real[v]) -> real[v] { return p(x) } }`,
  ],
  ifPartBoth: [
    'ok',
    () => {
      let e = 'A()'
      for (let i = 0; i < 12; i++) e = `if v == ${i} { ${e} } else { ${e} }`
      return `module m config C { v: dim = 4 } block A uses C { fn forward(x: real[v]) -> real[v] { return x } } model M uses C { part p: ${e} entry e(x: real[v]) -> real[v] { return p(x) } }`
    },
  ],
  orNest: [
    'L241',
    () => {
      let e = 'n == 1'
      for (let i = 0; i < 90; i++) e = `(${e} or n == ${i})`
      return op(`if ${e} { x } else { x }`)
    },
  ],
  checkpointOptional: [
    'L260 L501',
    () =>
      `module m config C { v: dim = 4 } model M uses C { weight w: [v] entry e() -> real[v] { return w } checkpoint hf { w <- "${times('a.?', 40)}" } }`,
  ],
  checkpointIgnore: [
    'L260',
    () =>
      `module m config C { v: dim = 4 } model M uses C { weight w: [v] entry e() -> real[v] { return w } checkpoint hf { ignore "${times('*a', 4000)}" w <- "w" } }`,
  ],
  magicName: ['L104', () => 'module m config C { v: dim = 4 } model M uses C { entry __proto__(x: real[v]) -> real[v] { return x } }'],
  proto: [
    'ok',
    () =>
      `module valueOf config constructor { isPrototypeOf: dim = 4 toString: dim = 5 hasOwnProperty: dim = 6 } block valueOf uses constructor { weight propertyIsEnumerable: [toString] fn forward(x: real[toString]) -> real[toString] { return x + propertyIsEnumerable } } model M uses constructor { part constructor: valueOf() entry toLocaleString(x: real[toString]) -> real[toString] { return constructor(x) } entry hasOwnProperty(prototype: real[toString]) -> real[toString] { return prototype } }`,
  ],
  slicesNeg: ['L233', () => model('entry e(x: f32[n]) -> f32[m = 4] { return rename(x[n: 0 - 5 ..+ 4], n -> m) } runtime n: 5 ..= 8')],
  topkHuge: [
    'ok',
    () => model('entry e(x: f32[n]) -> f32[k = 1000000] { let (a, b) = topk(x, k = 1000000, over: n) return a } runtime n: 1 ..= 8'),
  ],
  zeroSizes: [
    'ok',
    () =>
      `module m config C { v: dim = 0 } model M uses C { weight w: [v] entry e(x: real[v]) -> real[v] { return x + w } entry s(x: real[v]) -> real { return sum(x, over: v) } }`,
  ],
}
