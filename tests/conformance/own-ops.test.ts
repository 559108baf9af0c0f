// The compiler knows no library op by name. Copied into a user's file under other names, the ops of std give the same bytes;
// variants of a copied `attend` (ALiBi, a cap on scores, a window, other groupings of heads) stay one attention kernel, and
// their numbers are the reference's.

import { expect, test } from 'vitest'
import { createSoftwareGpu } from '../support/dawn.ts'
import { referenceOf } from '../../cli/project.ts'
import { compile, packageSources, type Request } from '../../compiler/index.ts'
import { classify } from '../../compiler/kernel/shape.ts'
import type { KernelStep } from '../../compiler/kernel/program.ts'
import { load, memoryFiles, type Model } from '../../runtime/index.ts'
import { readProject } from '../dsl/read-models.ts'

type Compiled = Extract<Awaited<ReturnType<typeof compile>>, { ok: true }>

async function compiled(text: string, request: Omit<Request, 'entry' | 'target'>): Promise<Compiled> {
  const sources = packageSources(new Map([['own.dsl', text]]))
  const result = await compile(sources, { ...request, entry: 'own.dsl', seedWeights: 7, target: ['wasm', 'webgpu'] })
  if (!result.ok) throw new Error(result.diagnostics.map(({ code, message }) => `${code} ${message}`).join('; '))
  return result
}

const read = (path: string): string => readProject(path)!

test.each([
  ['none', 'fast'],
  ['q8_0', 'strict'],
] as const)('ops copied from the library under other names give the same bytes: weights %s, %s math', async (quant, math) => {
  const llama = read('models/llama.dsl')
  const library = ['nn', 'rope', 'attention'].map((name) => read(`std/${name}.dsl`))
  const names = library.flatMap((text) => [...text.matchAll(/^op (\w+)/gm)].map(([, name]) => name!))
  for (const name of ['attend', 'rms_norm', 'rope', 'softmax']) expect(names).toContain(name)
  const withoutHeads = [llama.replace(/^module .*$/m, ''), ...library.map((text) => text.replace(/^module .*$/m, ''))].join('\n')
  const own = withoutHeads
    .replaceAll(/^import .*$/gm, '')
    .replaceAll(/\b(\w+)(?=\()/g, (word) => (names.includes(word) ? `own_${word}` : word))
  expect(own).not.toMatch(/\b(attend|rms_norm|rope|softmax)\(/)
  const [theirs, ours] = await Promise.all([llama, `module own\n${own}`].map((text) => compiled(text, { preset: 'tiny', quant, math })))
  const files = [...theirs!.artifact.keys()].filter((name) => /^(program|weights)-/.test(name))
  expect(files.length).toBeGreaterThanOrEqual(4)
  for (const name of files) expect(Buffer.compare(theirs!.artifact.get(name)!, ours!.artifact.get(name)!), name).toBe(0)
})

/** A LLaMA whose attention is the text given. */
const variant = (
  attend: string,
  { kv = 2, extra = '', mask = 'causal(pos, iota(ctx = seen))', rotate = true, weight = '' } = {},
): string => `module own
import llama         { Llama, LlamaConfig, Attention }
import std.nn        { softmax }
import std.attention { causal, sliding }
${attend}
block OwnAttention extends Attention {
  ${weight}
  override fn forward(x: real[seq, embed], start: index) -> real[seq, embed] {
    let pos  = start + iota(seq)
    let seen = start + seq
    store keys[ctx: start ..+ seq]   = ${rotate ? 'place(key(x), pos)' : 'key(x)'}
    store values[ctx: start ..+ seq] = value(x)
    let mix = own_attend(${rotate ? 'place(query(x), pos)' : 'query(x)'}, keys[ctx: 0 ..+ seen], values[ctx: 0 ..+ seen],
                         mask: ${mask}${extra})
    return dot(mix, wo, over: [heads, head_dim])
  }
}
model Own extends Llama {
  replace Attention with OwnAttention
  preset "small" { vocab = 32  embed = 32  depth = 1  heads = 4  kv_heads = ${kv}  ffn = 48  ctx = 32 }
}
`
const softmaxed = 'softmax(where(expand(mask, axes(all)), all, -inf), over: t)'
/** `attend` of the library, with places for a parameter, for what happens to the scores, and for what they become. */
const copy = (parameter: string, scores: string, shares = softmaxed): string => `
op own_attend(q: real[s, h, d], k: real[t, g, d], v: real[t, g, e], mask: bool[s, t]${parameter}) -> real[s, h, e]
  require h % g == 0
{
  let qg  = split(f32(q) * rsqrt(d), h -> (g, n))
  let raw = dot(qg, f32(k), over: d)
  let all = ${scores}
  let p   = ${shares}
  return merge(dot(real(p), v, over: t), (g, n) -> h)
}`
const slope = 'exp((f32(iota(h)) + 1.0) * (-8.0 * log(2.0) / h))'
const distance = 'f32(expand(qpos, [s, t]) - kpos)'

const plain = variant(copy('', 'raw'))
const variants: Readonly<Record<string, string>> = {
  'ALiBi by positions': variant(
    copy(', qpos: i32[s], kpos: i32[t]', `raw - split(expand(${slope}, [s, h, t]) * ${distance}, h -> (g, n))`),
    { extra: ', qpos: pos, kpos: iota(ctx = seen)', rotate: false },
  ),
  'ALiBi as a bias from outside': variant(copy(', bias: f32[s, h, t]', 'raw + split(bias, h -> (g, n))'), {
    extra: `, bias: expand(exp((f32(iota(heads)) + 1.0) * (-8.0 * log(2.0) / heads)), [seq, heads, ctx = seen])
                               * f32(iota(ctx = seen) - expand(pos, [seq, ctx = seen]))`,
    rotate: false,
  }),
  'a cap on scores': variant(copy(', cap: float = 0.5', 'cap * tanh(raw / cap)')),
  'a cap and ALiBi': variant(
    copy(', qpos: i32[s], kpos: i32[t]', `0.5 * tanh(raw / 0.5) - split(expand(${slope}, [s, h, t]) * ${distance}, h -> (g, n))`),
    { extra: ', qpos: pos, kpos: iota(ctx = seen)' },
  ),
  'a learned bias by distance': variant(copy(', bias: f32[s, h, t]', 'raw + split(bias, h -> (g, n))'), {
    weight: 'weight near: [far = 4, heads]',
    extra: ', bias: order(f32(near[far: min(expand(pos, [seq, ctx = seen]) - iota(ctx = seen), 3)]), [seq, heads, ctx])',
  }),
  'a place to look at nothing, softmax written out': variant(
    copy(
      ', sink: real[h]',
      'where(expand(mask, axes(raw)), raw, -inf)',
      'exp(all - most(all, apart(sink, v))) / (sum(exp(all - most(all, apart(sink, v))), over: t) + exp(apart(sink, v) - most(all, apart(sink, v))))',
    ) +
      `
op apart(x: real[h], by: real[t, g, e]) -> f32[g, n = h / g] require h % g == 0 { return split(f32(x), h -> (g, n)) }
op most(x: f32[s, g, n, t], sink: f32[g, n]) -> f32[s, g, n] { return max(max(x, over: t), sink) }`,
    { weight: 'weight sink: [heads]', extra: ', sink: sink' },
  ),
  'a window': variant(copy('', 'raw'), { mask: 'sliding(pos, iota(ctx = seen), window: 3)' }),
  'heads that share all keys': variant(copy('', 'raw'), { kv: 1 }),
  'heads with keys of their own': variant(copy('', 'raw'), { kv: 4 }),
}

const kernelsOf = (steps: readonly KernelStep[]): Extract<KernelStep, { kind: 'kernel' }>['kernel'][] =>
  steps.flatMap((step) => (step.kind === 'kernel' ? [step.kernel] : step.kind === 'launch' ? step.kernels : step.groups.flatMap(kernelsOf)))

/** The kinds of an entry's kernels, after it was seen that no buffer between them holds a score of every query and position. */
function shapesOf({ compilation }: Compiled, target: string, entry: string): string[] {
  const program = compilation.results.find((result) => result.target === target)!.programs.find((one) => one.entry === entry)!
  for (const { id, dims } of program.values.values())
    expect(dims.filter(({ terms }) => terms.length > 0).length, `${id} has one axis that depends on the call`).toBeLessThanOrEqual(1)
  return kernelsOf(program.steps).map(classify)
}

/** Scores after a prompt, after its continuation, and after one token more. */
async function scores(model: Model): Promise<number[][]> {
  const session = model.createSession()
  const calls = [
    ['score', { tokens: [3, 1, 4, 1, 5], start: 0 }],
    ['score', { tokens: [9, 2, 6], start: 5 }],
    ['decode', { tokens: [5], start: 8 }],
  ] as const
  const results: number[][] = []
  for (const [entry, inputs] of calls) results.push([...(await session.call(entry, inputs as never))[0]!.values])
  await model.dispose()
  return results
}

const worst = (a: readonly number[][], b: readonly number[][]): number =>
  Math.max(...a.flat().map((value, i) => Math.abs(value - b.flat()[i]!)))

const gpu = createSoftwareGpu()
const request = { preset: 'small', quant: 'none', math: 'strict' } as const
const library = compiled(variant('').replaceAll('own_attend', 'attend').replace('{ causal,', '{ attend, causal,'), request)

test('the plain copy is the library’s', async () => {
  const [own, theirs] = [await compiled(plain, request), await library]
  for (const name of ['program-0.wasm', 'program-2.webgpu.json']) expect(own.artifact.get(name)).toEqual(theirs.artifact.get(name))
})

test.each(Object.entries(variants))('%s is one attention kernel, with the numbers of the reference', async (name, text) => {
  const own = await compiled(text, request)
  for (const target of ['wasm', 'webgpu'])
    for (const entry of ['prefill', 'decode']) {
      const shapes = shapesOf(own, target, entry)
      expect(shapes).toEqual(shapesOf(await library, target, entry))
      expect(shapes.filter((shape) => shape === 'attend').length).toBe(1)
    }
  const open = (options: Parameters<typeof load>[1]): Promise<Model> => load(memoryFiles(own.artifact), options)
  const wanted = await scores(await open({ device: referenceOf(own) }))
  expect(worst(await scores(await open({ device: 'wasm', threads: 1 })), wanted)).toBeLessThan(1e-5)
  if (/ALiBi by|cap on/.test(name)) expect(worst(await scores(await open({ device: 'webgpu', gpu: await gpu })), wanted)).toBeLessThan(1e-5)
  const unchanged = await scores(await load(memoryFiles((await library).artifact), { device: 'wasm', threads: 1 }))
  expect(worst(unchanged, wanted)).toBeGreaterThan(1e-3)
})
