// The tree of one file, as it was written: names are not resolved and nothing is checked here.
// One tagged union per grammar level; `span` covers the whole construct, `name.span` just the name.

import type { Span } from './source.ts'

export interface Name {
  readonly text: string
  readonly span: Span
}

interface At {
  readonly span: Span
}

export interface FileTree extends At {
  readonly kind: 'file'
  /** Dotted module path: `std.nn`. */
  readonly module: string
  readonly imports: readonly Import[]
  readonly declarations: readonly Declaration[]
}

export interface Import extends At {
  /** Dotted path (`std.nn`, `llama`) or, for npm packages, the string as written. */
  readonly path: string
  readonly isPackage: boolean
  readonly names: readonly Name[]
}

export type Declaration = ConfigDecl | OpDecl | BlockDecl

export interface ConfigDecl extends At {
  readonly kind: 'config'
  readonly name: Name
  readonly extends?: Name
  readonly fields: readonly Field[]
  readonly requires: readonly Require[]
  readonly doc?: string
}

export interface Field extends At {
  readonly name: Name
  /** Absent: re-assigns an inherited field. */
  readonly type?: TypeExpr
  readonly default?: Expr
  readonly annotations: readonly Annotation[]
}

/** `@hf("a.b", "c")`, `@precision(f32)`, `@quant(off)`. */
export interface Annotation extends At {
  readonly name: Name
  readonly args: readonly Arg[]
}

export interface Require extends At {
  readonly kind: 'require'
  readonly condition: Expr
  /** With `{expression}` holes as written. */
  readonly text?: string
}

export interface OpDecl extends At {
  readonly kind: 'op'
  readonly name: Name
  readonly params: readonly Param[]
  readonly result: TypeExpr
  readonly requires: readonly Require[]
  readonly body: Body
  readonly doc?: string
}

export interface Param extends At {
  readonly name: Name
  readonly type: TypeExpr
  readonly default?: Expr
}

/** `real[..b, t, label = size]?` */
export interface TypeExpr extends At {
  readonly name: Name
  /** Absent: a scalar (`dim`, `float`, `index`, `axis`, `text` …). `[n]` or `[..]` on a compile-time type is a list. */
  readonly axes?: readonly Axis[]
  readonly optional: boolean
}

export type Axis =
  | (At & { readonly kind: 'row'; readonly name?: Name })
  /** `label = size`; a bare name `t` has `label` t and `size` the name expression t. A bare expression has no label. */
  | (At & { readonly kind: 'axis'; readonly label?: Name; readonly size: Expr })

export interface BlockDecl extends At {
  readonly kind: 'block' | 'model'
  readonly name: Name
  readonly params: readonly Param[]
  readonly extends?: Name
  readonly uses?: Name
  readonly members: readonly Member[]
  readonly doc?: string
}

export type Member = Weight | State | Part | Fn | Entry | Replace | Checkpoint | Preset | Drop | Require | RuntimeRange

export interface Weight extends At {
  readonly kind: 'weight'
  readonly override: boolean
  readonly name: Name
  readonly axes: readonly Axis[]
  readonly tied?: Name
  readonly when?: Expr
  readonly annotations: readonly Annotation[]
  readonly doc?: string
}

export interface State extends At {
  readonly kind: 'state'
  readonly override: boolean
  readonly name: Name
  readonly type: TypeExpr
  readonly when?: Expr
  readonly annotations: readonly Annotation[]
  readonly doc?: string
}

export interface Part extends At {
  readonly kind: 'part'
  readonly override: boolean
  readonly name: Name
  /** `part layers[i < depth]` */
  readonly range?: { readonly index: Name; readonly count: Expr }
  readonly make: Make
  readonly when?: Expr
  readonly doc?: string
}

export type Make =
  | (At & { readonly kind: 'make'; readonly block: Name; readonly args: readonly Arg[] })
  | (At & { readonly kind: 'choose'; readonly condition: Expr; readonly yes: Make; readonly no: Make })

export interface Fn extends At {
  readonly kind: 'fn'
  readonly override: boolean
  readonly name: Name
  readonly params: readonly Param[]
  /** Absent: gives nothing (only stores). */
  readonly result?: TypeExpr
  readonly body: Body
  readonly doc?: string
}

export interface Entry extends At {
  readonly kind: 'entry'
  readonly override: boolean
  readonly name: Name
  readonly definition:
    | { readonly kind: 'body'; readonly params: readonly Param[]; readonly result?: TypeExpr; readonly body: Body }
    | { readonly kind: 'specialise'; readonly of: Name; readonly bindings: readonly Binding[] }
  readonly doc?: string
}

/** `seq = 1` */
export interface Binding extends At {
  readonly name: Name
  readonly value: Expr
}

export interface Replace extends At {
  readonly kind: 'replace'
  readonly what: Name
  readonly by: Name
  readonly args: readonly Arg[]
  readonly in?: Name
}

export interface Drop extends At {
  readonly kind: 'drop'
  readonly name: Name
}

export interface RuntimeRange extends At {
  readonly kind: 'runtime'
  readonly name: Name
  readonly from: Expr
  readonly to: Expr
}

export interface Preset extends At {
  readonly kind: 'preset'
  readonly name: string
  readonly bindings: readonly Binding[]
}

/** `hf`, `gguf("llama")` */
export interface Format extends At {
  readonly name: string
  readonly arch?: string
}

export interface Checkpoint extends At {
  readonly kind: 'checkpoint'
  readonly format: Format
  readonly rules: readonly Rule[]
}

export type Rule =
  | (At & { readonly kind: 'ignore'; readonly glob: string })
  | (At & { readonly kind: 'inherit'; readonly format: Format })
  | (At & { readonly kind: 'expect'; readonly key: string; readonly value: Expr })
  | (At & {
      readonly kind: 'bind'
      readonly targets: readonly WeightPath[]
      readonly source: RuleSource
      readonly steps: readonly RuleStep[]
      readonly when?: Expr
    })

export interface WeightPath extends At {
  /** `layers[i].attn.wq` = [{layers, i}, {attn}, {wq}] */
  readonly steps: readonly { readonly name: Name; readonly index?: Name }[]
}

export type RuleSource =
  | (At & { readonly kind: 'name'; readonly pattern: string })
  /** `stack(e < experts, "…{e}…")` */
  | (At & { readonly kind: 'each'; readonly how: Name; readonly index: Name; readonly count: Expr; readonly pattern: string })

/** `|> rope_rows(heads, from: "adjacent", to: "half")` */
export interface RuleStep extends At {
  readonly name: Name
  readonly args: readonly Arg[]
}

export type Body = readonly Stmt[]

export type Stmt =
  | (At & { readonly kind: 'let'; readonly names: readonly Name[]; readonly value: Expr })
  | (At & { readonly kind: 'return'; readonly value: Expr })
  | (At & { readonly kind: 'store'; readonly place: Expr; readonly value: Expr })
  | (At & { readonly kind: 'for'; readonly variable: Name; readonly over: Name; readonly body: Body })
  | (At & { readonly kind: 'assign'; readonly name: Name; readonly value: Expr })
  | (At & { readonly kind: 'do'; readonly value: Expr })

export type BinaryOp = '+' | '-' | '*' | '/' | '%' | '==' | '!=' | '<' | '<=' | '>' | '>=' | 'and' | 'or' | 'in'

export type Expr =
  | (At & { readonly kind: 'number'; readonly value: number; readonly isInteger: boolean })
  | (At & { readonly kind: 'string'; readonly value: string })
  | (At & { readonly kind: 'bool'; readonly value: boolean })
  | (At & { readonly kind: 'none' })
  | (At & { readonly kind: 'inf' })
  | (At & { readonly kind: 'name'; readonly name: string })
  | (At & { readonly kind: 'unary'; readonly op: '-' | 'not'; readonly value: Expr })
  | (At & { readonly kind: 'binary'; readonly op: BinaryOp; readonly left: Expr; readonly right: Expr })
  | (At & { readonly kind: 'member'; readonly of: Expr; readonly name: Name })
  /** `x |> f(a)` is a call whose `piped` is x (it is the first argument). */
  | (At & { readonly kind: 'call'; readonly callee: Expr; readonly args: readonly Arg[]; readonly piped?: Expr })
  | (At & { readonly kind: 'index'; readonly of: Expr; readonly indices: readonly Index[] })
  /** `(a, b)` or `(pair = 2, r = d / 2)`; a single unlabelled one is plain grouping and does not appear. */
  | (At & { readonly kind: 'group'; readonly axes: readonly Axis[] })
  /** `[s, t]`, `[t, r, p = 1]` */
  | (At & { readonly kind: 'list'; readonly axes: readonly Axis[] })
  | (At & { readonly kind: 'if'; readonly condition: Expr; readonly yes: Expr; readonly no: Expr })

/** `x[ctx: a ..+ n]`, `x[l: i]`, `table[ids]`, `x[seq: a .. b]` */
export interface Index extends At {
  readonly label?: Name
  readonly from: Expr
  readonly range?: { readonly kind: '..' | '..+'; readonly to: Expr }
}

/** `name: value`, `label = size`, `value`, `a -> b` (in split, merge, rename). */
export type Arg =
  | (At & { readonly kind: 'positional'; readonly value: Expr })
  | (At & { readonly kind: 'named'; readonly name: Name; readonly value: Expr })
  | (At & { readonly kind: 'sized'; readonly label: Name; readonly size: Expr })
  | (At & { readonly kind: 'arrow'; readonly from: Expr; readonly to: Expr })
