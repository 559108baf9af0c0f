// The outer half of the grammar: files, declarations, members, checkpoint tables, and the one parser instance.
// LL(2), with one look further: `when` ends a checkpoint rule only if it is not itself the next weight path. Recovery is on;
// parse.ts decides which of the errors are shown.

import { ExpressionParser, oneOf } from './grammar-expressions.ts'
import type { Rule } from './grammar-expressions.ts'
import { Id, sign, Str, word } from './tokens.ts'

export class ModelParser extends ExpressionParser {
  file: Rule = this.RULE('file', () => {
    this.CONSUME(word.module)
    this.SUBRULE(this.path)
    this.MANY(() => this.SUBRULE(this.import_))
    this.MANY2(() =>
      this.OR(
        oneOf(
          () => this.SUBRULE(this.config, { LABEL: 'declaration' }),
          () => this.SUBRULE(this.op, { LABEL: 'declaration' }),
          () => this.SUBRULE(this.block, { LABEL: 'declaration' }),
        ),
      ),
    )
  })

  path: Rule = this.RULE('path', () => {
    this.AT_LEAST_ONE_SEP({ SEP: sign.dot, DEF: () => this.CONSUME(Id) })
  })

  import_: Rule = this.RULE('import_', () => {
    this.CONSUME(word.import)
    this.OR(
      oneOf(
        () => this.SUBRULE(this.path),
        () => this.CONSUME(Str),
      ),
    )
    this.CONSUME(sign.openCurly)
    this.AT_LEAST_ONE_SEP({ SEP: sign.comma, DEF: () => this.CONSUME(Id) })
    this.CONSUME(sign.closeCurly)
  })

  config: Rule = this.RULE('config', () => {
    this.CONSUME(word.config)
    this.CONSUME(Id, { LABEL: 'name' })
    this.OPTION(() => {
      this.CONSUME(word.extends)
      this.CONSUME2(Id, { LABEL: 'parent' })
    })
    this.CONSUME(sign.openCurly)
    this.MANY(() =>
      this.OR(
        oneOf(
          () => this.SUBRULE(this.require),
          () => this.SUBRULE(this.field),
        ),
      ),
    )
    this.CONSUME(sign.closeCurly)
  })

  field: Rule = this.RULE('field', () => {
    this.CONSUME(Id)
    this.OPTION(() => {
      this.CONSUME(sign.colon)
      this.SUBRULE(this.type)
    })
    this.OPTION2(() => {
      this.CONSUME(sign.assign)
      this.SUBRULE(this.expr)
    })
    this.MANY(() => this.SUBRULE(this.annotation))
  })

  annotation: Rule = this.RULE('annotation', () => {
    this.CONSUME(sign.at)
    this.CONSUME(Id)
    this.OPTION(() => this.SUBRULE(this.args))
  })

  require: Rule = this.RULE('require', () => {
    this.CONSUME(word.require)
    this.SUBRULE(this.expr)
    this.OPTION(() => {
      this.CONSUME(sign.comma)
      this.CONSUME(Str)
    })
  })

  op: Rule = this.RULE('op', () => {
    this.CONSUME(word.op)
    this.CONSUME(Id)
    this.SUBRULE(this.params)
    this.CONSUME(sign.arrow)
    this.SUBRULE(this.type)
    this.MANY(() => this.SUBRULE(this.require))
    this.SUBRULE(this.body)
  })

  block: Rule = this.RULE('block', () => {
    this.OR(
      oneOf(
        () => this.CONSUME(word.block),
        () => this.CONSUME(word.model),
      ),
    )
    this.CONSUME(Id, { LABEL: 'name' })
    this.OPTION(() => this.SUBRULE(this.params))
    this.OPTION2(() => {
      this.CONSUME(word.extends)
      this.CONSUME2(Id, { LABEL: 'parent' })
    })
    this.OPTION3(() => {
      this.CONSUME(word.uses)
      this.CONSUME3(Id, { LABEL: 'config' })
    })
    this.CONSUME(sign.openCurly)
    this.MANY(() => this.SUBRULE(this.member))
    this.CONSUME(sign.closeCurly)
  })

  member: Rule = this.RULE('member', () => {
    this.OR(
      oneOf(
        () => {
          this.OPTION(() => this.CONSUME(word.override))
          this.OR2(
            oneOf(
              () => this.SUBRULE(this.weight, { LABEL: 'it' }),
              () => this.SUBRULE(this.state, { LABEL: 'it' }),
              () => this.SUBRULE(this.part, { LABEL: 'it' }),
              () => this.SUBRULE(this.fn, { LABEL: 'it' }),
              () => this.SUBRULE(this.entry, { LABEL: 'it' }),
            ),
          )
        },
        () => this.SUBRULE(this.replace, { LABEL: 'it' }),
        () => this.SUBRULE(this.checkpoint, { LABEL: 'it' }),
        () => this.SUBRULE(this.preset, { LABEL: 'it' }),
        () => this.SUBRULE(this.drop, { LABEL: 'it' }),
        () => this.SUBRULE(this.require, { LABEL: 'it' }),
        () => this.SUBRULE(this.runtime, { LABEL: 'it' }),
      ),
    )
  })

  weight: Rule = this.RULE('weight', () => {
    this.CONSUME(word.weight)
    this.CONSUME(Id, { LABEL: 'name' })
    this.CONSUME(sign.colon)
    this.SUBRULE(this.axes)
    this.OPTION(() => {
      this.CONSUME(word.tied)
      this.CONSUME2(Id, { LABEL: 'other' })
    })
    this.OPTION2(() => this.SUBRULE(this.when))
    this.MANY(() => this.SUBRULE(this.annotation))
  })

  state: Rule = this.RULE('state', () => {
    this.CONSUME(word.state)
    this.CONSUME(Id)
    this.CONSUME(sign.colon)
    this.SUBRULE(this.type)
    this.OPTION(() => this.SUBRULE(this.when))
    this.MANY(() => this.SUBRULE(this.annotation))
  })

  when: Rule = this.RULE('when', () => {
    this.CONSUME(word.when)
    this.SUBRULE(this.expr)
  })

  part: Rule = this.RULE('part', () => {
    this.CONSUME(word.part)
    this.CONSUME(Id, { LABEL: 'name' })
    this.OPTION(() => {
      this.CONSUME(sign.openSquare)
      this.CONSUME2(Id, { LABEL: 'index' })
      this.CONSUME(sign.less)
      this.SUBRULE(this.add)
      this.CONSUME(sign.closeSquare)
    })
    this.CONSUME(sign.colon)
    this.SUBRULE(this.make)
    this.OPTION2(() => this.SUBRULE(this.when))
  })

  make: Rule = this.RULE('make', () => {
    this.OR(
      oneOf(
        () => {
          this.CONSUME(Id)
          this.SUBRULE(this.args)
        },
        () => {
          this.CONSUME(word.if)
          this.SUBRULE(this.expr)
          this.CONSUME(sign.openCurly)
          this.SUBRULE(this.make)
          this.CONSUME(sign.closeCurly)
          this.CONSUME(word.else)
          this.CONSUME2(sign.openCurly)
          this.SUBRULE2(this.make)
          this.CONSUME2(sign.closeCurly)
        },
      ),
    )
  })

  fn: Rule = this.RULE('fn', () => {
    this.CONSUME(word.fn)
    this.CONSUME(Id)
    this.SUBRULE(this.params)
    this.OPTION(() => {
      this.CONSUME(sign.arrow)
      this.SUBRULE(this.type)
    })
    this.SUBRULE(this.body)
  })

  entry: Rule = this.RULE('entry', () => {
    this.CONSUME(word.entry)
    this.CONSUME(Id, { LABEL: 'name' })
    this.OR(
      oneOf(
        () => {
          this.SUBRULE(this.params)
          this.OPTION(() => {
            this.CONSUME(sign.arrow)
            this.SUBRULE(this.type)
          })
          this.SUBRULE(this.body)
        },
        () => {
          this.CONSUME(sign.assign)
          this.CONSUME2(Id, { LABEL: 'of' })
          this.CONSUME(word.with)
          this.AT_LEAST_ONE_SEP({ SEP: sign.comma, DEF: () => this.SUBRULE(this.bind) })
        },
      ),
    )
  })

  replace: Rule = this.RULE('replace', () => {
    this.CONSUME(word.replace)
    this.CONSUME(Id, { LABEL: 'what' })
    this.CONSUME(word.with)
    this.CONSUME2(Id, { LABEL: 'by' })
    this.OPTION(() => this.SUBRULE(this.args))
    this.OPTION2(() => {
      this.CONSUME(word.in)
      this.CONSUME3(Id, { LABEL: 'where' })
    })
  })

  drop: Rule = this.RULE('drop', () => {
    this.CONSUME(word.drop)
    this.CONSUME(Id, { LABEL: 'name' })
  })

  runtime: Rule = this.RULE('runtime', () => {
    this.CONSUME(word.runtime)
    this.CONSUME(Id, { LABEL: 'name' })
    this.CONSUME(sign.colon)
    this.SUBRULE(this.add)
    this.CONSUME(sign.rangeTo)
    this.SUBRULE2(this.add)
  })

  preset: Rule = this.RULE('preset', () => {
    this.CONSUME(word.preset)
    this.CONSUME(Str)
    this.CONSUME(sign.openCurly)
    this.MANY(() => this.SUBRULE(this.bind))
    this.CONSUME(sign.closeCurly)
  })

  bind: Rule = this.RULE('bind', () => {
    this.CONSUME(Id)
    this.CONSUME(sign.assign)
    this.SUBRULE(this.expr)
  })

  checkpoint: Rule = this.RULE('checkpoint', () => {
    this.CONSUME(word.checkpoint)
    this.SUBRULE(this.format)
    this.CONSUME(sign.openCurly)
    this.MANY(() => this.SUBRULE(this.rule))
    this.CONSUME(sign.closeCurly)
  })

  format: Rule = this.RULE('format', () => {
    this.CONSUME(Id)
    this.OPTION(() => {
      this.CONSUME(sign.openRound)
      this.CONSUME(Str)
      this.CONSUME(sign.closeRound)
    })
  })

  rule: Rule = this.RULE('rule', () => {
    this.OR(
      oneOf(
        () => {
          this.CONSUME(word.ignore)
          this.CONSUME(Str)
        },
        () => {
          this.CONSUME(word.inherit)
          this.SUBRULE(this.format)
        },
        () => {
          this.CONSUME(word.expect)
          this.CONSUME2(Str)
          this.CONSUME(sign.assign)
          this.SUBRULE(this.expr)
        },
        () => {
          this.AT_LEAST_ONE_SEP({ SEP: sign.comma, DEF: () => this.SUBRULE(this.weightPath) })
          this.CONSUME(sign.from)
          this.SUBRULE(this.source)
          this.MANY(() => this.SUBRULE(this.step))
          this.OPTION({ GATE: () => !this.#beginsPath(), DEF: () => this.SUBRULE(this.when) })
        },
      ),
    )
  })

  step: Rule = this.RULE('step', () => {
    this.CONSUME(sign.pipe)
    this.CONSUME(Id)
    this.OPTION(() => this.SUBRULE(this.args))
  })

  source: Rule = this.RULE('source', () => {
    this.OR(
      oneOf(
        () => this.CONSUME(Str),
        () => {
          this.CONSUME(Id, { LABEL: 'how' })
          this.CONSUME(sign.openRound)
          this.CONSUME2(Id, { LABEL: 'index' })
          this.CONSUME(sign.less)
          this.SUBRULE(this.add)
          this.CONSUME(sign.comma)
          this.CONSUME2(Str)
          this.CONSUME(sign.closeRound)
        },
      ),
    )
  })

  weightPath: Rule = this.RULE('weightPath', () => {
    this.AT_LEAST_ONE_SEP({ SEP: sign.dot, DEF: () => this.SUBRULE(this.pathStep) })
  })

  pathStep: Rule = this.RULE('pathStep', () => {
    this.CONSUME(Id, { LABEL: 'name' })
    this.OPTION(() => {
      this.CONSUME(sign.openSquare)
      this.CONSUME2(Id, { LABEL: 'index' })
      this.CONSUME(sign.closeSquare)
    })
  })

  constructor(skipValidations = true) {
    super(skipValidations)
    this.performSelfAnalysis()
  }

  /** At a `when` that is the first step of a weight path: `when <- …`, `when.x <- …`, `when, x <- …`, `when[i].x <- …`. */
  #beginsPath(): boolean {
    const after = [sign.from, sign.dot, sign.comma]
    if (this.comes(2, ...after)) return true
    return this.comes(2, sign.openSquare) && this.comes(3, Id) && this.comes(4, sign.closeSquare) && this.comes(5, ...after)
  }
}

/** The one parser: construction analyses the grammar, which takes far longer than parsing a file. */
export const parser = new ModelParser()
