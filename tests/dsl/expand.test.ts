// `expand` changes no meaning: every model, written as one file, checks without a message, has the same numbers, tables and graphs,
// and compiles to the same bytes; expanded again it stays as it is. Small programs show what has to be renamed.

import { describe, expect, test } from 'vitest'
import { buildGraph } from '../../compiler/graph/builder.ts'
import { printGraph } from '../../compiler/graph/print.ts'
import { compile, packageSources } from '../../compiler/index.ts'
import { inlineComposites } from '../../compiler/passes/inline-composites.ts'
import { type CheckedModel, loadModel, type SpecialisedModel } from '../../dsl/index.ts'
import { blocks } from './features/blocks.ts'
import { configs } from './features/configs.ts'
import { model as oneModel } from './features/run-program.ts'
import { tensors } from './features/tensors.ts'
import { load, modelNames, numbered, program, readProject, summary } from './read-models.ts'

const expandedText = (model: CheckedModel): string => {
  const { text, problem } = model.expand()
  if (text === undefined) throw new Error(problem)
  return text
}

/** Everything but places and the names of ops. */
const facts = (model: SpecialisedModel): unknown => {
  const plain = ({ name, config, weights, states, entries, parameters }: SpecialisedModel) => ({
    name,
    config,
    weights,
    states,
    entries,
    parameters,
  })
  return JSON.parse(JSON.stringify(plain(model), (key, value) => (key === 'span' ? undefined : value)))
}
/** Of the formats that the expanded model has: a table that was only inherited, and lacks weights, has no place in it. */
const tables = (checked: CheckedModel, model: SpecialisedModel, kept: CheckedModel): unknown =>
  checked.checkpoints.flatMap(({ format, arch }) => {
    const { table, diagnostics } = model.checkpoint(format, arch)
    const codes = diagnostics.map(({ code }) => code)
    if (!kept.checkpoints.some((other) => other.format === format && other.arch === arch)) {
      expect(codes).toContain('L501')
      return []
    }
    const bindings = table?.bindings.map(({ span: _, ...binding }) => binding)
    // Rules stand in another order where a variant took some over.
    const key = ({ targets }: { readonly targets: readonly string[] }): string => targets.join()
    return {
      format,
      arch,
      bindings: bindings?.sort((x, y) => (key(x) < key(y) ? -1 : 1)),
      ignored: [...(table?.ignored ?? [])].sort(),
      codes,
    }
  })
const graphs = (model: SpecialisedModel): string[] =>
  model.entries.map(({ name }) => {
    const { graph } = buildGraph(model, name)
    if (!graph) throw new Error(`no graph of ${name}`)
    return printGraph(inlineComposites(graph))
  })

/** Long texts that differ are shown where they do: a diff of them would take minutes. */
function same(got: unknown, wanted: unknown): void {
  const [a, b] = [got, wanted].map((value) => JSON.stringify(value))
  const at = [...a!].findIndex((letter, i) => letter !== b![i])
  if (a !== b) expect(a!.slice(Math.max(0, at - 100), at + 100)).toBe(b!.slice(Math.max(0, at - 100), at + 100))
}

describe.each(modelNames)('%s', (name) => {
  const model = load(name)
  const text = expandedText(model)
  const again = program(text)

  test('inherits nothing and stays as it is', () => {
    expect(text).not.toMatch(/\b(extends|override|super|drop|replace|inherit)\b/)
    expect([...text.matchAll(/^import (\S+)/gm)].map(([, path]) => path).filter((path) => !path?.startsWith('std.'))).toEqual([])
    expect(expandedText(again)).toBe(text)
  })

  // Others differ in numbers alone.
  test.each([...new Set([model.presets[0]!, model.presets.at(-1)!])])('means the same with preset %s', (preset) => {
    const [one, other] = [numbered(model, { preset }), numbered(again, { preset })]
    same(facts(other), facts(one))
    same(tables(again, other, again), tables(model, one, again))
    // As `check` asks of a model's own tables.
    for (const { format, arch } of again.checkpoints) expect(other.checkpoint(format, arch).diagnostics).toEqual([])
    same(graphs(other), graphs(one))
  })
})

test.each([
  ['gemma', { vocab: 40, embed: 32, depth: 2, heads: 2, kv_heads: 1, head_dim: 16, ffn: 48, ctx: 32 }],
  ['mistral_ring', { vocab: 40, embed: 32, depth: 2, heads: 4, kv_heads: 2, ffn: 48, ctx: 32, window: 8 }],
])('%s is compiled to the same bytes', async (name, set) => {
  const text = expandedText(load(name))
  const made = [packageSources(new Map()), packageSources(new Map([[`models/${name}.dsl`, text]]))].map(async (sources) => {
    const result = await compile(sources, {
      entry: `models/${name}.dsl`,
      set,
      seedWeights: 1,
      quant: 'q8_0',
      target: ['wasm', 'webgpu'],
      maximum: { seq: 8 },
    })
    if (!result.ok) throw new Error(result.diagnostics.map(({ message }) => message).join('; '))
    return result.artifact
  })
  const [one, other] = await Promise.all(made)
  const programs = [...one!.keys()].filter((file) => /^(program|weights)/.test(file))
  expect(programs.length).toBeGreaterThan(2)
  for (const file of programs) expect(Buffer.compare(one!.get(file)!, other!.get(file)!), file).toBe(0)
})

function checkedWith(text: string, files: Readonly<Record<string, string>> = {}): CheckedModel {
  const { model, diagnostics } = loadModel('test.dsl', (path) => (path === 'test.dsl' ? text : (files[path] ?? readProject(path))))
  if (!model || diagnostics.length > 0) throw new Error(summary(diagnostics).join('; '))
  return model
}
const expandedWith = (...given: Parameters<typeof checkedWith>) => checkedWith(...given).expand()

test.each(Object.entries({ ...tensors, ...configs, ...blocks }))(
  'the program for “%s” means the same',
  (_, { text, files, numbers = {} }) => {
    const model = checkedWith(text, files)
    const again = checkedWith(expandedText(model))
    const [one, other] = [numbered(model, numbers), numbered(again, numbers)]
    same(facts(other), facts(one))
    same(graphs(other), graphs(one))
  },
)

test('names that two files use apart, super of super, bound values, values of parts', () => {
  const { text } = expandedWith(
    `module test
     import other { Base, Step, C }
     import std.nn { silu }
     config D extends C { k: float = 3.0  }
     op tenfold(x: real[n], by: float = 10.0) -> real[n] { return x * by }
     op sqrt(x: real[n]) -> real[n] { return silu(x) }
     op relu(x: real[n], over: float = 1.0) -> real[n] { return max(x, over) }
     block Mine extends Step { override fn forward(x: real[n]) -> real[n] { return sqrt(super(x)) } }
     block Mine2(more: float) extends Mine { override fn forward(x: real[n]) -> real[n] { return tenfold(super(x)) + more } }
     model M extends Base uses D {
       replace Step with Mine2(more: k)
       replace tenfold with tenfold(by: k)
     }`,
    {
      'other.dsl': `module other
        import std.nn { relu }
        config C { n: dim = 2  root: float = sqrt(4.0) }
        /// Of the other file.
        op tenfold(x: real[n]) -> real[n] { return relu(x) * 1000.0 }
        block Step uses C { fn forward(x: real[n]) -> real[n] { return tenfold(x) } }
        model Base uses C { part p: Step()  entry f(x: real[n]) -> real[n] { return p(x) } }`,
    },
  )
  expect(text).toMatchInlineSnapshot(`
    "module test

    import std.nn { silu, relu }

    config D {
      n:    dim   = 2
      root: float = sqrt(4.0)
      k:    float = 3.0
    }

    op tenfold(x: real[n], by: float = 10.0) -> real[n] { return x * by }

    op sqrt_test(x: real[n]) -> real[n] { return silu(x) }

    /// Of the other file.
    op tenfold_other(x: real[n]) -> real[n] { return relu(x) * 1000.0 }

    block Mine2(more: float) uses D {
      fn forward_of_Step(x: real[n]) -> real[n] { return tenfold_other(x) }

      fn forward_of_Mine(x: real[n]) -> real[n] { return sqrt_test(forward_of_Step(x)) }

      fn forward(x: real[n]) -> real[n] { return tenfold(forward_of_Mine(x), by: k) + more }
    }

    model M uses D {
      part p: Mine2(more: k)

      entry f(x: real[n]) -> real[n] { return p(x) }
    }
    "
  `)
})

test('what cannot be one file says what to rename', () => {
  const captured = oneModel('part a: A(w: 2)  replace half with part_of(share: w)  entry f(x: real[n]) -> real[n] { return a(x) }', {
    config: 'n: dim = 2  w: float = 0.5',
    before: `op half(x: real[n]) -> real[n] { return x * 0.5 }
      op part_of(x: real[n], share: float = 1.0) -> real[n] { return x * share }
      block A(w: int) uses C { fn forward(x: real[n]) -> real[n] { return half(x) * w } }`,
  })
  expect(expandedWith(captured).problem).toMatch(/binds a value with the config field `w`, but in A that name means something else/)
  const size = `module test
    config C { n: dim = 2 }
    config D extends C { many: dim = 3 }
    block A uses C { fn forward(x: real[many, n]) -> real[many, n] { return x } }
    model M uses D { part a: A()  entry f(x: real[s, n]) -> real[s, n] { return a(x) }  runtime s: 1 ..= 2 }`
  expect(expandedWith(size).problem).toMatch(/`many` is a size that callers of A.forward bring, and a field of D/)
})
