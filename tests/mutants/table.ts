// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are pieces of source text.
// Bugs that a compiler writer could make, one row each: a file, a piece of its text that occurs exactly once, and what to put in
// its place. `npm run mutants` shows that tests that CI runs, most by random graphs, notice every one of them.

export interface Mutant {
  readonly name: string
  readonly file: string
  readonly from: string
  readonly to: string
  /**
   * Where it shows: in random graphs for a target (threads that share a kernel, cut weights and WGSL are WebGPU's), or, where they are too small,
   * in a test file of its own.
   */
  readonly on: 'wasm' | 'webgpu' | `tests/${string}.test.ts`
}

/** The repository's root. */
export const rootUrl = new URL('../../', import.meta.url)

/** The text with the bug in it. Throws when the place is not there exactly once. */
export function plantIn(mutant: Mutant, text: string): string {
  const count = text.split(mutant.from).length - 1
  if (count !== 1) throw new Error(`mutant ${mutant.name}: its text occurs ${count} times in ${mutant.file}`)
  return text.replace(mutant.from, () => mutant.to)
}

const inFile = (file: string, rows: Readonly<Record<string, readonly [from: string, to: string]>>, on: Mutant['on'] = 'wasm'): Mutant[] =>
  Object.entries(rows).map(([name, [from, to]]) => ({ name, file, from, to, on }))

export const mutants: readonly Mutant[] = [
  ...inFile('compiler/passes/fold-constants.ts', {
    'zero minus x is x': ['sub: { value: 0, left: false }', 'sub: { value: 0, left: true }'],
    'x times zero is x': ['mul: { value: 1, left: true }', 'mul: { value: 0, left: true }'],
    'a square doubles': ["return make('binary', [a, a], { fn: 'mul' })", "return make('binary', [a, a], { fn: 'add' })"],
    'a slice of a slice forgets the outer start': ['start: add(x.attributes.start, start), size', 'start, size'],
    'a pick from a slice forgets its start': ['at: add(x.attributes.start, at)', 'at'],
    'transposes compose the wrong way round': [
      'order: order.map((axis) => x.attributes.order[axis]!)',
      'order: x.attributes.order.map((axis) => order[axis]!)',
    ],
    'a constant condition takes the other branch': ['condition !== 0 ? 1 : 2', 'condition !== 0 ? 2 : 1'],
    'a double negation is kept once': [
      "is(x, 'unary') && x.attributes.fn === fn) return x.operands[0]",
      "is(x, 'unary') && x.attributes.fn === fn) return x",
    ],
  }),
  ...inFile('compiler/passes/tabulate.ts', {
    'a table begins one position late': [
      'const offset = subtract(start, constant(from))',
      'const offset = subtract(start, constant(from + 1))',
    ],
    'tables are shorter than the positions': [
      'const count = upper(add(start, size), bounds, graph) - from',
      'const count = upper(add(start, size), bounds, graph) - from - 1',
    ],
  }),
  ...inFile(
    'compiler/passes/split-weights.ts',
    {
      'a part of a cut weight writes at the first part': [
        'index: output.index.map((at) => index(at, go)),\n      value: go(output.value),',
        'index: output.index,\n      value: go(output.value),',
      ],
      'rows at a cut belong to no part': ["call('ge', [row, number(from)], 'bool')", "call('gt', [row, number(from)], 'bool')"],
    },
    'webgpu',
  ),
  ...inFile('compiler/passes/split-groups.ts', {
    'instances share a body however they store their weights': ['const key = [group, ...storage].join()', 'const key = String(group)'],
  }),
  ...inFile('compiler/plan/functions.ts', {
    'bodies share loops whatever the formats': [
      '({ source: _, ...operand }) => operand',
      '({ source: _, format: __, ...operand }) => operand',
    ],
  }),
  ...inFile('compiler/passes/merge-siblings.ts', {
    'siblings join a launch before what they need': ['place >= earliest && slot.key === key', 'slot.key === key'],
  }),
  ...inFile('compiler/passes/fuse.ts', {
    'a store reads the state while writing it': [
      'if (this.coneOf(value).some((inner) => isVersion(inner) && statePathOf(inner) === path)) this.add(value)',
      'if (this.coneOf(value).length < 0) this.add(value)',
    ],
  }),
  ...inFile('compiler/kernel/region-places.ts', {
    'a layer is asked for what another one left': [
      'kept[group]!.map(({ of }) => of.get(i)!)',
      'kept[group]!.map(({ of }) => [...of.values()].at(-1)!)',
    ],
  }),
  ...inFile('compiler/kernel/precedence.ts', {
    'a store runs before readers of the old state': [
      'if (a.reads.has(old) && !a.makes.includes(made) && (!copied.has(old) || a.copies === old)) return true',
      'if (old === undefined) return true',
    ],
    'a carried value is overwritten while it is needed': [
      "if (read.op === 'param' && place?.source.kind === 'value' && place.source.id === id) return true",
      "if (read.op === 'loop' && place?.source.kind === 'value' && place.source.id === id) return true",
    ],
  }),
  ...inFile('compiler/kernel/lower-ops.ts', {
    'a slice starts at zero': [
      'replaced(at, axis, 1, addIndex(at[axis]!, indexOfAffine(start), l.scope))',
      'replaced(at, axis, 1, start ? at[axis]! : at[axis]!)',
    ],
    'the first element of a joined part is the last of the one before': [
      "l.call('lt', [indexExpr(at[axis]!), indexExpr(indexOfAffine(end))], 'bool')",
      "l.call('le', [indexExpr(at[axis]!), indexExpr(indexOfAffine(end))], 'bool')",
    ],
    'the first element inside a padding is padding': [
      "l.call('ge', [indexExpr(within), constExpr(0, 'i32')], 'bool')",
      "l.call('gt', [indexExpr(within), constExpr(0, 'i32')], 'bool')",
    ],
    'a split counts its inner axis by the outer size': [
      'addIndex(scaleIndex(flat, first ? 1 : dims[i]!.const, l.scope), index, l.scope)',
      'addIndex(scaleIndex(flat, first ? 1 : dims[i]!.const + 1, l.scope), index, l.scope)',
    ],
    'a maximum of negative numbers is zero': [
      "constExpr(fn === 'max' ? least : most, dtype)",
      "constExpr(fn === 'max' ? -0.5 : most, dtype)",
    ],
    'short sums skip their first term': ['points.reduce((a, b) => l.call(', 'points.slice(-2).reduce((a, b) => l.call('],
  }),
  ...inFile('compiler/kernel/index-map.ts', {
    'the range of an axis ends one early': [
      'return { min: 0, max: Math.max(0, affineRange(extent, scope.symbols).max - 1) }',
      'return { min: 0, max: Math.max(0, affineRange(extent, scope.symbols).max - 2) }',
    ],
  }),
  ...inFile('compiler/schedule/scope.ts', {
    'four gathered lanes read one place': ["i === 0 ? base : ops.add(base, constant('i32', i))", 'base'],
    'an index is clamped one too high': [
      "const top = ops.sub(emitAffine(index.below), constant('i32', 1))",
      'const top = emitAffine(index.below)',
    ],
    'lanes of a strided index step by one': ['ops.pack_i32(0, stride, 2 * stride, 3 * stride)', 'ops.pack_i32(0, 1, 2, 3)'],
  }),
  ...inFile('compiler/schedule/scalar-calls.ts', {
    'zero divided by zero is not zero': [
      'ops.select(ops.and(ops.eq(a, zero), ops.eq(b, zero)), one, b)',
      'ops.select(ops.and(ops.eq(a, one), ops.eq(b, zero)), one, b)',
    ],
  }),
  ...inFile('compiler/schedule/staged.ts', {
    'scratch memory is used again too early': ['slots.has(used) && lastUse.get(used) === id &&', 'slots.has(used) &&'],
  }),
  ...inFile('compiler/schedule/vector-loops.ts', {
    'the rest after whole vectors is left out': [
      'if (!whole) e.loop(axis.id, full, extent, 1, (value) => scope.at([[axis.id, value]], () => body(false)))',
      "if (!whole && extent.kind === 'builtin') e.loop(axis.id, full, extent, 1, (value) => scope.at([[axis.id, value]], () => body(false)))",
    ],
    'whole blocks of vectors begin at zero again': ['e.loop(axis.id, wide, whole, 4,', 'e.loop(axis.id, 0, whole, 8,'],
  }),
  ...inFile('compiler/schedule/definitions.ts', { 'a maximum starts at zero': ['max: -f32Max, min', 'max: 0, min'] }),
  ...inFile('compiler/schedule/contract.ts', {
    'tiles of a block of activations are written over each other': ['ops.add(placeOfBlock(n), inBlock), q', 'placeOfBlock(n), q'],
    'of rows read at several places the last ones are left out': [
      'ops.add(ops.sub(to, from), parts - 1), parts',
      'ops.sub(to, from), parts',
    ],
    'the last token of four is left out': [
      'scope.at([[plan.token!.id, s]], () => body(4)))',
      'scope.at([[plan.token!.id, s]], () => body(3)))',
    ],
    'a tile writes past the last row': ['ops.le(row, extent - 4)', 'ops.le(row, extent - 1)'],
  }),
  ...inFile('compiler/schedule/contract-dots.ts', {
    'rows with activations of their own read those of the first': [
      'first.unit === unit || !movesWith(unit, dot)',
      'first.unit === unit || first !== undefined',
    ],
    'the second chain of a dot is dropped': ['others.reduce((total, other)', 'others.slice(1).reduce((total, other)'],
    'the group of a row is that of the row before': [
      'ops.mul(ops.shr_u(row, 3), groupWords)',
      'ops.mul(ops.shr_u(ops.sub(row, 1), 3), groupWords)',
    ],
  }),
  ...inFile(
    'compiler/schedule/work-group.ts',
    {
      'a sum across threads meets before all have written': [
        "e.store(tree, builtin('invocation'), partial)\n  e.barrier()",
        "e.store(tree, builtin('invocation'), partial)",
      ],
      'the tree of threads stops one level early': [
        'for (let width = threads / 2; width >= 1; width /= 2)',
        'for (let width = threads / 2; width >= 2; width /= 2)',
      ],
    },
    'webgpu',
  ),
  ...inFile(
    'compiler/schedule/stages.ts',
    {
      'scratch is read before all threads wrote it': [
        'shareOut(scope, machine.threads, axes.map(whole), single)\n    e.barrier()',
        'shareOut(scope, machine.threads, axes.map(whole), single)',
      ],
    },
    'webgpu',
  ),
  ...inFile(
    'compiler/schedule/work-group.ts',
    {
      'invocations join one share too few': ['i < by; i++', 'i < by - 1; i++'],
      'subgroups join half of the sharers of a row': ['by < sharers; by *= 2', 'by < sharers / 2; by *= 2'],
      'small subgroups join what lies outside them': [
        "ops.lt(constant('i32', by), builtin('lanes'))",
        "ops.le(constant('i32', by), builtin('lanes'))",
      ],
      'subgroups leave what they have in the slots of others': ['slot: ops.div(sharer, run)', 'slot: ops.rem(sharer, run)'],
    },
    'webgpu',
  ),
  ...inFile(
    'compiler/schedule/contract-group.ts',
    {
      'tokens past the end are written': ['inside.push(ops.lt(s, extent!))', 'inside.push(ops.le(s, extent!))'],
    },
    'webgpu',
  ),
  ...inFile(
    'compiler/schedule/contract-tile.ts',
    {
      'k past the end of a step counts': ["return ops.select(ops.lt(at, dot.k), value, constant('f32', 0))", 'return value'],
      'four tokens of a tile are stored one on the other': ['e.if(ops.eq(pass, t)', 'e.if(ops.le(pass, t)'],
    },
    'webgpu',
  ),
  ...inFile(
    'compiler/schedule/tile-tokens.ts',
    {
      'tokens past the end of a tile are written': ['ops.lt(number(place), end)', 'ops.le(number(place), end)'],
    },
    'webgpu',
  ),
  // Random graphs seldom have so many tokens that choose, and weights that are cut besides.
  ...inFile(
    'compiler/schedule/tile-tokens.ts',
    { 'of tokens that choose alike the first is left out': ['ops.eq(left, 0)', 'ops.eq(left, 1)'] },
    'tests/schedule/chosen-weights.test.ts',
  ),
  ...inFile(
    'compiler/schedule/contract-group.ts',
    {
      'weights chosen in another part are left out in their own': [
        "ops.select(scope.scalar(where), all, constant('i32', 0))",
        "ops.select(scope.scalar(where), constant('i32', 0), all)",
      ],
    },
    'tests/schedule/chosen-weights.test.ts',
  ),
  ...inFile('compiler/schedule/packed.ts', {
    'q4_0 is centred on seven': ['runScales.scaleOnly(8)', 'runScales.scaleOnly(7)'],
  }),
  ...inFile('compiler/schedule/packed-signed.ts', {
    'the minus plane of q8_0 is added': ['ops.to_f32x4(ops.sub(p, m))', 'ops.to_f32x4(ops.add(p, m))'],
  }),
  ...inFile('compiler/schedule/packed-words.ts', {
    'rows 4 to 7 use the scales of rows 0 to 3': [
      'if (isQuad(quad, 1)) return ops.half_hi_f32x4(pair)',
      'if (isQuad(quad, 1)) return ops.half_lo_f32x4(pair)',
    ],
  }),
  ...inFile('compiler/schedule/run-scales.ts', {
    'scale and minimum of q4_1 are swapped': [
      '{ scale: ops.half_lo_f32x4(pair), offset: ops.half_hi_f32x4(pair) }',
      '{ scale: ops.half_hi_f32x4(pair), offset: ops.half_lo_f32x4(pair) }',
    ],
  }),
  // Random graphs seldom have blocks of 256.
  ...inFile(
    'compiler/schedule/run-scales.ts',
    {
      'odd runs of q4_k take the scales of even ones': ['scale: (odd) => odd, least', 'scale: () => 0, least'],
      'all groups of q6_k take the scale of the first': ['scale: (odd, group) => 2 * odd + group', 'scale: () => 0'],
    },
    'tests/schedule/packed-formats.test.ts',
  ),
  ...inFile('compiler/schedule/run-quants.ts', {
    'what other bits bring along is not taken off': [
      'shifted(vector(v), shift)).reduce((a, b) => ops.xor(a, b))',
      'shifted(vector(v), shift)).reduce((a, b) => ops.or(a, b))',
    ],
    'single elements take all fours for the low bits of a vector': ['const moved = ops.shr_u(read, shift)', 'const moved = read'],
    'single elements of q4 read the wrong nibble': ['ops.and(number, shares - 1)', 'ops.shr_u(number, 1)'],
  }),
  ...inFile('compiler/schedule/packed-runs.ts', {
    'both halves of a run of q6_k are centred as the first': ['fromOf(e, activation, group)', 'fromOf(e, activation, 0)'],
    'minima of q4_k are added': ['run % 2 ? -pairFactor : -pairFactor /', 'run % 2 ? pairFactor : pairFactor /'],
    'minima of even runs of q4_k are not scaled back': [': -pairFactor / 2 ** 16', ': -pairFactor'],
  }),
  ...inFile('compiler/schedule/state-blocks.ts', {
    'activations are scaled to 128': [
      "ops.div(ops.hmax(largest), constant('f32', 127))",
      "ops.div(ops.hmax(largest), constant('f32', 128))",
    ],
    'negative bytes of a cache spill into their neighbours': ['ops.shl(low(c), 16)', 'ops.shl(c, 16)'],
    'the second half of a cached block is read as the first': ['4 * (i >> 2)), i & 3', '0), i & 3'],
    'single numbers of a cache take the scale of the first block': [
      'ops.add(ops.shr_u(flat, 5), scalesOf(operand)))))\n}',
      'ops.add(ops.shr_u(flat, 31), scalesOf(operand)))))\n}',
    ],
  }),
  ...inFile(
    'compiler/schedule/attend-rows.ts',
    {
      'runs are taken for as long as the first one': ['ops.max(ops.min(length, last), 0)', 'length'],
    },
    'tests/wasm/attend.test.ts',
  ),
  ...inFile(
    'compiler/schedule/attend-shorts.ts',
    {
      'a weight follows the last one of a tile': [
        "ops.add(first, length), constant('f32x4', 0), i)",
        "ops.add(first, length), constant('f32x4', 1), i)",
      ],
      'sums of a block are handed on in the order of its bytes': [
        'this.inBlocks(vector)) return e.store(operand, ops.add(row, d), sums)',
        'vector) return e.store(operand, ops.add(row, d), sums)',
      ],
      'blocks of bytes all take the scale of the first': ['ops.add(scales, b)))', 'scales))'],
    },
    'tests/wasm/attend.test.ts',
  ),
  ...inFile(
    'compiler/schedule/attend.ts',
    {
      'the last chunk takes the first positions of the next run': [
        'ops.min(ops.add(start, size), ops.add(from, apart))',
        'ops.add(start, size)',
      ],
    },
    'tests/wasm/attend.test.ts',
  ),
  ...inFile('compiler/schedule/outputs.ts', {
    'the sum of a block is that of half of it': ['e.set(sum, ops.add(sum, q))', 'if (i < 4) e.set(sum, ops.add(sum, q))'],
  }),
  ...inFile(
    'compiler/schedule/outputs.ts',
    { 'a part of a cut weight writes rows it does not have': ['if (output.guard) e.if(', 'if (output.guard && lane) e.if('] },
    'webgpu',
  ),
  ...inFile('compiler/schedule/select.ts', {
    'equal values: the later index wins': [
      'const better = ops.or(ops.eq(found, 0), ops.gt(value, best))',
      'const better = ops.or(ops.eq(found, 0), ops.ge(value, best))',
    ],
  }),
  ...inFile('compiler/schedule/math-loops.ts', {
    'exp with a wrong digit': ['1.6666665459e-1, 5.0000001201e-1', '1.6666665459e-1, 5.0010001201e-1'],
    'tanh loses the sign': [
      'return m.withSign(ops.select(ops.lt(a, m.c(0.625)), small, large), x!)',
      'return ops.select(ops.lt(a, m.c(0.625)), small, large)',
    ],
    'the cosine is a sine': [
      "const q = m.let('q', ops.add(m.toInt(n), m.i(quadrant)))",
      "const q = m.let('q', ops.add(m.toInt(n), m.i(quadrant - quadrant)))",
    ],
  }),
  ...inFile('compiler/plan/arena.ts', {
    'values of neighbouring steps share memory': ['x.from <= y.to && y.from <= x.to', 'x.from < y.to && y.from < x.to'],
    'a gap is taken that is too small': ['if (offset + size <= start) break', 'if (offset < start) break'],
  }),
  ...inFile('compiler/plan/lifetimes.ts', {
    'what a loop reads from outside dies inside it': [
      "if (source.kind === 'value' && outside.has(valueKey(source.id))) touch(valueKey(source.id), start, now)",
      "if (source.kind === 'value' && outside.has(valueKey(source.id))) touch(valueKey(source.id), start, start)",
    ],
    'what a loop carries is idle before its last reader': ['else if (at <= use.written) use.read = at', 'else if (at < 0) use.read = at'],
    'results die before the end': ['from: -1, to: now', 'from: -1, to: -1'],
    'blocks of activations are planned without their planes': [
      'byteWords(value.format, elements) : elements',
      '(elements / 32) * 8 : elements',
    ],
  }),
  ...inFile('compiler/plan/layout.ts', {
    'states overlap': [
      'offset += Math.ceil(bytes / stateAlignment) * stateAlignment',
      'offset += Math.floor(bytes / stateAlignment) * stateAlignment',
    ],
  }),
  ...inFile('compiler/plan/races.ts', {
    'threads may read what another one writes': [
      'a.memory === b.memory && (a.write || b.write)',
      'a.memory === b.memory && a.write && b.write',
    ],
    'steps of one thread and of all need no barrier': [
      "!(a.share === 'one' && b.share === 'one')",
      "!(a.share === 'one' || b.share === 'one')",
    ],
  }),
  ...inFile('compiler/plan/share.ts', {}),
  ...inFile('compiler/targets/wasm/lower.ts', {
    'every layer uses the first layer’s weights': [
      "slot.slice(1).replace('[*]', `[${i}]`)",
      "slot.slice(1).replace('[*]', i < 0 ? '' : '[0]')",
    ],
  }),
  ...inFile('compiler/targets/wasm/addresses.ts', {
    'loop pointers move by one step only': ['stride: slope * loop.step', 'stride: slope'],
  }),
  ...inFile('compiler/targets/wasm/expressions.ts', {
    'the smaller integer is the larger': ["min: pick('lt_s')", "min: pick('gt_s')"],
    'odd bytes are read without a sign': ['i16x8.shr_s(x(), i32.const(8))]', 'i16x8.shr_u(x(), i32.const(8))]'],
    'the maximum across lanes misses two': ["hmax: fold('pmax')", "hmax: fold('pmin')"],
    'a choice is made the wrong way round in vectors': [
      'c.module.v128.bitselect(yes, no, condition)',
      'c.module.v128.bitselect(no, yes, condition)',
    ],
  }),
  ...inFile(
    'compiler/targets/webgpu/lower.ts',
    {
      'every layer uses the first layer’s state': [
        "states[plan.layout.state(source.path.replace('[*]', `[${instance}]`))]!",
        "states[plan.layout.state(source.path.replace('[*]', instance < 0 ? '' : '[0]'))]!",
      ],
      'every layer leaves its values where the first one does': [
        "valueKey(source.id.replace('[*]', `[${instance}]`))",
        "valueKey(source.id.replace('[*]', instance < 0 ? '' : '[0]'))",
      ],
    },
    'webgpu',
  ),
  ...inFile(
    'compiler/targets/webgpu/modules.ts',
    {
      'kernels at two places share the text of the first one': ['words.size > 1', 'words.size > 2'],
    },
    'webgpu',
  ),
  ...inFile(
    'compiler/schedule/join-launch.ts',
    {
      'the second kernel of a launch begins one workgroup early': ['ops.sub(group, start)', 'ops.sub(group, Math.max(0, start - 1))'],
    },
    'webgpu',
  ),
  ...inFile(
    'compiler/targets/webgpu/bindings.ts',
    {
      'operands in the arena lie one value too far': [
        'const base = (place.offset - range.offset) / 4',
        'const base = (place.offset - range.offset) / 4 + 1',
      ],
    },
    'webgpu',
  ),
  ...inFile(
    'compiler/targets/webgpu/emit.ts',
    {
      'loops run once more': ['${v} < ${to}; ${v} += ${s.step}i', '${v} <= ${to}; ${v} += ${s.step}i'],
      'four words are written in the wrong order': ['`v[${i}]`', '`v[${i ^ 1}]`'],
    },
    'webgpu',
  ),
  ...inFile(
    'compiler/targets/webgpu/library.ts',
    {
      'halves that a device converts are read in the wrong order': [
        "${['x', 'y', 'z', 'w'].map((lane) => halfForms",
        "${['x', 'y', 'w', 'z'].map((lane) => halfForms",
      ],
    },
    'webgpu',
  ),
  ...inFile('compiler/formats/q8-0.ts', {
    'the packed scales of rows 0 and 4 are swapped': [
      'out[to + scaleLane] = plainRows[from]!\n      out[to + scaleLane + 1] = plainRows[from + 1]!',
      'out[to + (scaleLane ^ 2)] = plainRows[from]!\n      out[to + (scaleLane ^ 2) + 1] = plainRows[from + 1]!',
    ],
  }),
  ...inFile('compiler/formats/half-rows.ts', {
    'packed halves of rows 0 and 4 are swapped': [
      'halves[k * 8 + lane] = rows[row * K + k]!',
      'halves[k * 8 + (lane ^ 1)] = rows[row * K + k]!',
    ],
  }),
  ...inFile('compiler/formats/run-rows.ts', {
    'neighbouring fours of a run change places': ['const from = four + share * fourStep', 'const from = (four + share * fourStep) ^ 1'],
  }),
  ...inFile('compiler/schedule/byte-sums.ts', {
    'a part of a dot takes twice the products that it holds': ['Math.floor(32767 / (2 * 127 * most))', 'Math.floor(32767 / (127 * most))'],
    'what a dot starts from is left out': ['ops.dot_close(part, this.#sum)', 'ops.dot_close(part, ops.dot_open(this.#sum))'],
  }),
]

/**
 * Bugs that random graphs do not notice, as far as has been tried (300 graphs each): kernels as small as theirs are never split where
 * rows collide, their views seldom divide twice, and nothing in them reads one index as a number and inside another.
 */
export const unnoticed: readonly Mutant[] = [
  ...inFile('compiler/kernel/index-map.ts', {
    'a remainder keeps the whole offset': ['rest: { const: l.const - q * by, terms: rest }', 'rest: { const: l.const, terms: rest }'],
    'a remainder of a product forgets the factor': [
      'addLinear(scaleLinear(modLinear(parts.big, by / parts.g, scope), parts.g), parts.small, scope)',
      'addLinear(modLinear(parts.big, by / parts.g, scope), parts.small, scope)',
    ],
    'division of a division adds the divisors': [
      'divLinear(toLinear(atom.a, scope), atom.by * by, scope)',
      'divLinear(toLinear(atom.a, scope), atom.by + by, scope)',
    ],
  }),
  ...inFile('compiler/schedule/scope.ts', {
    'a value outlives the axis it depends on': [
      '.filter(([expr]) => ![...this.axesOf(expr)].some((axis) => moved.has(axis)))',
      '.filter(([expr]) => this.axesOf(expr).size < 1000 + moved.size)',
    ],
  }),
  ...inFile('compiler/plan/share.ts', {
    'rows that may write the same place are split': [
      '!kernel.outputs.some(({ index }) => index.some(isIndirect))',
      '!kernel.outputs.some(({ index }) => index.length < 0)',
    ],
  }),
  ...inFile('compiler/targets/wasm/addresses.ts', {
    'a varying address is taken out of the loop': [
      'e.name === variable ? 1 : assigned.has(e.name) ? undefined : 0',
      'e.name === variable ? 1 : assigned.has(e.name) ? 0 : 0',
    ],
  }),
]

/** The one that LLAMAC_MUTANT names. */
export function chosenMutant(): Mutant | undefined {
  const name = process.env['LLAMAC_MUTANT']
  const mutant = [...mutants, ...unnoticed].find((each) => each.name === name)
  if (name !== undefined && !mutant) throw new Error(`no mutant is called ${name}`)
  return mutant
}
