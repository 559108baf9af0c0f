// Concrete tree → dsl/ast.ts for files, declarations, members and checkpoint tables (the rules of grammar.ts).
// It expects a tree without syntax errors. Each construct's span is exactly its tokens; a doc comment belongs to the
// declaration whose first token (`override` included) follows it.

import type { CstNode } from 'chevrotain'
import type {
  Name,
  Annotation,
  Arg,
  Binding,
  BlockDecl,
  ConfigDecl,
  Declaration,
  Entry,
  Field,
  FileTree,
  Fn,
  Format,
  Import,
  Make,
  Member,
  OpDecl,
  Require,
  Rule,
  RuleSource,
  RuleStep,
  WeightPath,
} from './ast.ts'
import {
  buildArgs,
  buildAxes,
  buildBody,
  buildExpr,
  buildParams,
  buildSides,
  buildType,
  maybeName,
  maybeNode,
  maybeToken,
  nameOf,
  node,
  nodes,
  spanOf,
  textOf,
  token,
  tokens,
} from './build-expressions.ts'
import type { Building } from './build-expressions.ts'
import { diagnose } from './codes.ts'

const dotted = (path: CstNode): string =>
  tokens(path, 'Id')
    .map((id) => id.image)
    .join('.')

function docOf(b: Building, cst: CstNode): { doc?: string } {
  const doc = b.docs.get(cst.location?.startOffset ?? -1)
  return doc === undefined ? {} : { doc }
}

function named<K extends string>(b: Building, cst: CstNode, key: string, as: K): { [P in K]?: ReturnType<typeof nameOf> } {
  const name = maybeName(b, maybeToken(cst, key))
  return (name ? { [as]: name } : {}) as { [P in K]?: ReturnType<typeof nameOf> }
}

/** The tree of a `file` node of the parser. Throws only on internal faults (a tree with syntax errors is one). */
export function buildFile(b: Building, cst: CstNode): FileTree {
  return {
    kind: 'file',
    span: spanOf(b, cst),
    module: dotted(node(cst, 'path')),
    imports: nodes(cst, 'import_').map((item) => buildImport(b, item)),
    declarations: nodes(cst, 'declaration').map((item) => buildDeclaration(b, item)),
  }
}

function buildImport(b: Building, cst: CstNode): Import {
  const text = maybeToken(cst, 'Str')
  return {
    span: spanOf(b, cst),
    path: text ? textOf(b, text) : dotted(node(cst, 'path')),
    isPackage: text !== undefined,
    names: tokens(cst, 'Id').map((id) => nameOf(b, id)),
  }
}

function buildDeclaration(b: Building, cst: CstNode): Declaration {
  if (cst.name === 'config') return buildConfig(b, cst)
  return cst.name === 'op' ? buildOp(b, cst) : buildBlock(b, cst)
}

function buildConfig(b: Building, cst: CstNode): ConfigDecl {
  return {
    kind: 'config',
    span: spanOf(b, cst),
    name: nameOf(b, token(cst, 'name')),
    ...named(b, cst, 'parent', 'extends'),
    fields: nodes(cst, 'field').map((field) => buildField(b, field)),
    requires: nodes(cst, 'require').map((require) => buildRequire(b, require)),
    ...docOf(b, cst),
  }
}

function buildField(b: Building, cst: CstNode): Field {
  const name = nameOf(b, token(cst, 'Id'))
  const type = maybeNode(cst, 'type')
  const value = maybeNode(cst, 'expr')
  const annotations = buildAnnotations(b, cst)
  if (!type && !value && annotations.length === 0 && !followsAnother(b, name)) {
    const help = `write  ${name.text}: dim  for a new field,  ${name.text} = value  for an inherited one`
    b.diagnostics.push(
      diagnose('L109', { message: `\`${name.text}\` has neither a type nor a value`, labels: [{ span: name.span }], help }),
    )
  }
  return {
    span: spanOf(b, cst),
    name,
    ...(type && { type: buildType(b, type) }),
    ...(value && { default: buildExpr(b, value) }),
    annotations,
  }
}

/** Several names in a line with nothing between them (`= 4 q heads`) are one slip. */
function followsAnother({ diagnostics, source }: Building, { span }: Name): boolean {
  const before = diagnostics.at(-1)
  const end = before?.code === 'L109' ? before.labels[0]?.span.end : undefined
  return end !== undefined && !source.text.slice(end, span.start).includes('\n')
}

const buildAnnotations = (b: Building, cst: CstNode): Annotation[] =>
  nodes(cst, 'annotation').map((item) => ({ span: spanOf(b, item), name: nameOf(b, token(item, 'Id')), args: argsOf(b, item) }))

const argsOf = (b: Building, cst: CstNode): Arg[] => {
  const args = maybeNode(cst, 'args')
  return args ? buildArgs(b, args) : []
}

function buildRequire(b: Building, cst: CstNode): Require {
  const text = maybeToken(cst, 'Str')
  return { kind: 'require', span: spanOf(b, cst), condition: buildExpr(b, node(cst, 'expr')), ...(text && { text: textOf(b, text) }) }
}

function buildOp(b: Building, cst: CstNode): OpDecl {
  return {
    kind: 'op',
    span: spanOf(b, cst),
    name: nameOf(b, token(cst, 'Id')),
    params: buildParams(b, node(cst, 'params')),
    result: buildType(b, node(cst, 'type')),
    requires: nodes(cst, 'require').map((require) => buildRequire(b, require)),
    body: buildBody(b, node(cst, 'body')),
    ...docOf(b, cst),
  }
}

function buildBlock(b: Building, cst: CstNode): BlockDecl {
  const params = maybeNode(cst, 'params')
  return {
    kind: maybeToken(cst, "'model'") ? 'model' : 'block',
    span: spanOf(b, cst),
    name: nameOf(b, token(cst, 'name')),
    params: params ? buildParams(b, params) : [],
    ...named(b, cst, 'parent', 'extends'),
    ...named(b, cst, 'config', 'uses'),
    members: nodes(cst, 'member').map((member) => buildMember(b, member)),
    ...docOf(b, cst),
  }
}

/** What `override weight|state|part|fn|entry name` have in common. */
function heading(b: Building, member: CstNode, it: CstNode, nameKey: string) {
  return {
    span: spanOf(b, member),
    override: maybeToken(member, "'override'") !== undefined,
    name: nameOf(b, token(it, nameKey)),
    ...docOf(b, member),
  }
}

function whenOf(b: Building, cst: CstNode) {
  const when = maybeNode(cst, 'when')
  return when ? { when: buildExpr(b, node(when, 'expr')) } : {}
}

/** By the grammar rule of the member; `member` is the node around it, which may hold `override`. */
const members: Record<string, (b: Building, it: CstNode, member: CstNode) => Member> = {
  weight: (b, it, member) => ({
    kind: 'weight',
    ...heading(b, member, it, 'name'),
    axes: buildAxes(b, node(it, 'axes')),
    ...named(b, it, 'other', 'tied'),
    ...whenOf(b, it),
    annotations: buildAnnotations(b, it),
  }),
  state: (b, it, member) => ({
    kind: 'state',
    ...heading(b, member, it, 'Id'),
    type: buildType(b, node(it, 'type')),
    ...whenOf(b, it),
    annotations: buildAnnotations(b, it),
  }),
  part: (b, it, member) => {
    const index = maybeName(b, maybeToken(it, 'index'))
    return {
      kind: 'part',
      ...heading(b, member, it, 'name'),
      ...(index && { range: { index, count: buildSides(b, node(it, 'add')) } }),
      make: buildMake(b, node(it, 'make')),
      ...whenOf(b, it),
    }
  },
  fn: (b, it, member) => ({ kind: 'fn', ...heading(b, member, it, 'Id'), ...signature(b, it) }),
  entry: (b, it, member) => ({ kind: 'entry', ...heading(b, member, it, 'name'), definition: buildDefinition(b, it) }),
  replace: (b, it) => ({
    kind: 'replace',
    span: spanOf(b, it),
    what: nameOf(b, token(it, 'what')),
    by: nameOf(b, token(it, 'by')),
    args: argsOf(b, it),
    ...named(b, it, 'where', 'in'),
  }),
  checkpoint: (b, it) => ({
    kind: 'checkpoint',
    span: spanOf(b, it),
    format: buildFormat(b, node(it, 'format')),
    rules: nodes(it, 'rule').map((rule) => buildRule(b, rule)),
  }),
  preset: (b, it) => ({ kind: 'preset', span: spanOf(b, it), name: textOf(b, token(it, 'Str')), bindings: buildBindings(b, it) }),
  drop: (b, it) => ({ kind: 'drop', span: spanOf(b, it), name: nameOf(b, token(it, 'name')) }),
  require: (b, it) => buildRequire(b, it),
  runtime: (b, it) => {
    const [from, to] = nodes(it, 'add') as [CstNode, CstNode]
    return { kind: 'runtime', span: spanOf(b, it), name: nameOf(b, token(it, 'name')), from: buildSides(b, from), to: buildSides(b, to) }
  },
}

function buildMember(b: Building, cst: CstNode): Member {
  const it = node(cst, 'it')
  const build = members[it.name]
  if (build === undefined) throw new Error(`internal: member ${it.name}`)
  return build(b, it, cst)
}

function signature(b: Building, cst: CstNode): Pick<Fn, 'params' | 'result' | 'body'> {
  const result = maybeNode(cst, 'type')
  return {
    params: buildParams(b, node(cst, 'params')),
    ...(result && { result: buildType(b, result) }),
    body: buildBody(b, node(cst, 'body')),
  }
}

function buildDefinition(b: Building, cst: CstNode): Entry['definition'] {
  const of = maybeName(b, maybeToken(cst, 'of'))
  return of ? { kind: 'specialise', of, bindings: buildBindings(b, cst) } : { kind: 'body', ...signature(b, cst) }
}

const buildBindings = (b: Building, cst: CstNode): Binding[] =>
  nodes(cst, 'bind').map((item) => ({ span: spanOf(b, item), name: nameOf(b, token(item, 'Id')), value: buildExpr(b, node(item, 'expr')) }))

function buildMake(b: Building, cst: CstNode): Make {
  const span = spanOf(b, cst)
  const block = maybeName(b, maybeToken(cst, 'Id'))
  if (block) return { kind: 'make', span, block, args: argsOf(b, cst) }
  const [yes, no] = nodes(cst, 'make').map((make) => buildMake(b, make)) as [Make, Make]
  return { kind: 'choose', span, condition: buildExpr(b, node(cst, 'expr')), yes, no }
}

function buildFormat(b: Building, cst: CstNode): Format {
  const arch = maybeToken(cst, 'Str')
  return { span: spanOf(b, cst), name: token(cst, 'Id').image, ...(arch && { arch: textOf(b, arch) }) }
}

function buildRule(b: Building, cst: CstNode): Rule {
  const span = spanOf(b, cst)
  const text = maybeToken(cst, 'Str')
  const format = maybeNode(cst, 'format')
  if (format) return { kind: 'inherit', span, format: buildFormat(b, format) }
  if (text && maybeToken(cst, "'ignore'")) return { kind: 'ignore', span, glob: textOf(b, text) }
  if (text) return { kind: 'expect', span, key: textOf(b, text), value: buildExpr(b, node(cst, 'expr')) }
  return {
    kind: 'bind',
    span,
    targets: nodes(cst, 'weightPath').map((path) => buildWeightPath(b, path)),
    source: buildSource(b, node(cst, 'source')),
    steps: nodes(cst, 'step').map(
      (step): RuleStep => ({ span: spanOf(b, step), name: nameOf(b, token(step, 'Id')), args: argsOf(b, step) }),
    ),
    ...whenOf(b, cst),
  }
}

function buildWeightPath(b: Building, cst: CstNode): WeightPath {
  return {
    span: spanOf(b, cst),
    steps: nodes(cst, 'pathStep').map((step) => ({ name: nameOf(b, token(step, 'name')), ...named(b, step, 'index', 'index') })),
  }
}

function buildSource(b: Building, cst: CstNode): RuleSource {
  const span = spanOf(b, cst)
  const pattern = textOf(b, token(cst, 'Str'))
  const how = maybeName(b, maybeToken(cst, 'how'))
  if (!how) return { kind: 'name', span, pattern }
  return { kind: 'each', span, how, index: nameOf(b, token(cst, 'index')), count: buildSides(b, node(cst, 'add')), pattern }
}
