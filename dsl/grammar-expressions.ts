// The inner half of the grammar (language.md section 10, rule for rule): types, axis lists, expressions, statements.
// A chevrotain parser that gives a concrete tree and no meaning. LL(2), with one look further: the contextual word `in` is an
// operator only before something that can begin an expression. grammar.ts adds the declarations.

import { CstParser, tokenMatcher } from 'chevrotain'
import type { CstNode, IOrAlt, IRecognitionException, ParserMethod, TokenType } from 'chevrotain'
import { expected } from './expectations.ts'
import { AddOp, CmpOp, expressionStarts, Id, MulOp, Num, sign, Str, tokenTypes, word } from './tokens.ts'

/** Thrown when going on has no use: the parser keeps the errors so far. */
export class TooManyErrors extends Error {}

/** After as many, what is parsed is not what was meant, and each costs a search for the place to go on. */
const mostErrors = 100

const inherited = CstParser.prototype as unknown as { SAVE_ERROR(error: IRecognitionException): IRecognitionException }

export type Rule = ParserMethod<[], CstNode>

export const oneOf = (...alternatives: (() => unknown)[]): IOrAlt<unknown>[] => alternatives.map((ALT) => ({ ALT }))

export class ExpressionParser extends CstParser {
  type: Rule = this.RULE('type', () => {
    this.CONSUME(Id)
    this.OPTION(() => this.SUBRULE(this.axes))
    this.OPTION2(() => this.CONSUME(sign.question))
  })

  axes: Rule = this.RULE('axes', () => {
    this.CONSUME(sign.openSquare)
    this.MANY_SEP({ SEP: sign.comma, DEF: () => this.SUBRULE(this.axis) })
    this.CONSUME(sign.closeSquare)
  })

  axis: Rule = this.RULE('axis', () => {
    this.OR(
      oneOf(
        () => {
          this.CONSUME(sign.dots)
          this.OPTION(() => this.CONSUME(Id, { LABEL: 'row' }))
        },
        () => {
          this.CONSUME2(Id, { LABEL: 'label' })
          this.CONSUME(sign.assign)
          this.SUBRULE(this.expr)
        },
        () => this.SUBRULE2(this.expr),
      ),
    )
  })

  params: Rule = this.RULE('params', () => {
    this.CONSUME(sign.openRound)
    this.MANY_SEP({ SEP: sign.comma, DEF: () => this.SUBRULE(this.param) })
    this.CONSUME(sign.closeRound)
  })

  param: Rule = this.RULE('param', () => {
    this.CONSUME(Id)
    this.CONSUME(sign.colon)
    this.SUBRULE(this.type)
    this.OPTION(() => {
      this.CONSUME(sign.assign)
      this.SUBRULE(this.expr)
    })
  })

  body: Rule = this.RULE('body', () => {
    this.CONSUME(sign.openCurly)
    this.MANY(() => this.SUBRULE(this.stmt))
    this.CONSUME(sign.closeCurly)
  })

  stmt: Rule = this.RULE('stmt', () => {
    this.OR(
      oneOf(
        () => {
          this.CONSUME(word.let)
          this.OR2(
            oneOf(
              () => this.CONSUME(Id, { LABEL: 'name' }),
              () => {
                this.CONSUME(sign.openRound)
                this.AT_LEAST_ONE_SEP({ SEP: sign.comma, DEF: () => this.CONSUME2(Id, { LABEL: 'name' }) })
                this.CONSUME(sign.closeRound)
              },
            ),
          )
          this.CONSUME(sign.assign)
          this.SUBRULE(this.expr)
        },
        () => {
          this.CONSUME(word.return)
          this.SUBRULE2(this.expr)
        },
        () => {
          this.CONSUME(word.store)
          this.SUBRULE(this.postfix)
          this.CONSUME2(sign.assign)
          this.SUBRULE3(this.expr)
        },
        () => {
          this.CONSUME(word.for)
          this.CONSUME3(Id, { LABEL: 'name' })
          this.CONSUME(word.in)
          this.CONSUME4(Id, { LABEL: 'over' })
          this.SUBRULE(this.body)
        },
        () => {
          this.CONSUME5(Id, { LABEL: 'name' })
          this.CONSUME3(sign.assign)
          this.SUBRULE4(this.expr)
        },
        () => this.SUBRULE2(this.postfix),
      ),
    )
  })

  expr: Rule = this.RULE('expr', () => {
    this.SUBRULE(this.either)
    this.MANY(() => this.SUBRULE(this.pipe))
  })

  pipe: Rule = this.RULE('pipe', () => {
    this.CONSUME(sign.pipe)
    this.CONSUME(Id)
    this.SUBRULE(this.args)
  })

  either: Rule = this.RULE('either', () => {
    this.SUBRULE(this.both, { LABEL: 'side' })
    this.MANY(() => {
      this.CONSUME(word.or, { LABEL: 'operator' })
      this.SUBRULE2(this.both, { LABEL: 'side' })
    })
  })

  both: Rule = this.RULE('both', () => {
    this.SUBRULE(this.neg, { LABEL: 'side' })
    this.MANY(() => {
      this.CONSUME(word.and, { LABEL: 'operator' })
      this.SUBRULE2(this.neg, { LABEL: 'side' })
    })
  })

  neg: Rule = this.RULE('neg', () => {
    this.OR(
      oneOf(
        () => {
          this.CONSUME(word.not)
          this.SUBRULE(this.neg)
        },
        () => this.SUBRULE(this.cmp),
      ),
    )
  })

  cmp: Rule = this.RULE('cmp', () => {
    this.SUBRULE(this.add, { LABEL: 'side' })
    this.OPTION({
      GATE: () => this.LA(1).tokenType !== word.in || this.comes(2, ...expressionStarts),
      DEF: () => {
        this.CONSUME(CmpOp, { LABEL: 'operator' })
        this.SUBRULE2(this.add, { LABEL: 'side' })
      },
    })
  })

  add: Rule = this.RULE('add', () => {
    this.SUBRULE(this.mul, { LABEL: 'side' })
    this.MANY(() => {
      this.CONSUME(AddOp, { LABEL: 'operator' })
      this.SUBRULE2(this.mul, { LABEL: 'side' })
    })
  })

  mul: Rule = this.RULE('mul', () => {
    this.SUBRULE(this.unary, { LABEL: 'side' })
    this.MANY(() => {
      this.CONSUME(MulOp, { LABEL: 'operator' })
      this.SUBRULE2(this.unary, { LABEL: 'side' })
    })
  })

  unary: Rule = this.RULE('unary', () => {
    this.OR(
      oneOf(
        () => {
          this.CONSUME(sign.minus)
          this.SUBRULE(this.unary)
        },
        () => this.SUBRULE(this.postfix),
      ),
    )
  })

  postfix: Rule = this.RULE('postfix', () => {
    this.SUBRULE(this.prim)
    this.MANY(() => this.SUBRULE(this.suffix))
  })

  suffix: Rule = this.RULE('suffix', () => {
    this.OR(
      oneOf(
        () => {
          this.CONSUME(sign.dot)
          this.CONSUME(Id)
        },
        () => this.SUBRULE(this.args),
        () => {
          this.CONSUME(sign.openSquare)
          this.AT_LEAST_ONE_SEP({ SEP: sign.comma, DEF: () => this.SUBRULE(this.index) })
          this.CONSUME(sign.closeSquare)
        },
      ),
    )
  })

  index: Rule = this.RULE('index', () => {
    this.OPTION(() => {
      this.CONSUME(Id)
      this.CONSUME(sign.colon)
    })
    this.SUBRULE(this.expr)
    this.OPTION2(() => {
      this.OR(
        oneOf(
          () => this.CONSUME(sign.dots, { LABEL: 'range' }),
          () => this.CONSUME(sign.rangeBy, { LABEL: 'range' }),
        ),
      )
      this.SUBRULE2(this.expr)
    })
  })

  args: Rule = this.RULE('args', () => {
    this.CONSUME(sign.openRound)
    this.MANY_SEP({ SEP: sign.comma, DEF: () => this.SUBRULE(this.arg) })
    this.CONSUME(sign.closeRound)
  })

  arg: Rule = this.RULE('arg', () => {
    this.OR(
      oneOf(
        () => {
          this.CONSUME(Id)
          this.OR2(
            oneOf(
              () => this.CONSUME(sign.colon),
              () => this.CONSUME(sign.assign),
            ),
          )
          this.SUBRULE(this.expr)
        },
        () => {
          this.SUBRULE2(this.expr)
          this.OPTION(() => {
            this.CONSUME(sign.arrow)
            this.SUBRULE3(this.expr)
          })
        },
      ),
    )
  })

  prim: Rule = this.RULE('prim', () => {
    this.OR(
      oneOf(
        () => this.CONSUME(Num),
        () => this.CONSUME(Str),
        () => this.CONSUME(word.true),
        () => this.CONSUME(word.false),
        () => this.CONSUME(word.none),
        () => this.CONSUME(word.inf),
        () => this.CONSUME(Id),
        () => this.SUBRULE(this.group),
        () => this.SUBRULE(this.axes),
        () => this.SUBRULE(this.choice),
      ),
    )
  })

  group: Rule = this.RULE('group', () => {
    this.CONSUME(sign.openRound)
    this.AT_LEAST_ONE_SEP({ SEP: sign.comma, DEF: () => this.SUBRULE(this.axis) })
    this.CONSUME(sign.closeRound)
  })

  choice: Rule = this.RULE('choice', () => {
    this.CONSUME(word.if)
    this.SUBRULE(this.expr)
    this.CONSUME(sign.openCurly)
    this.SUBRULE2(this.expr)
    this.CONSUME(sign.closeCurly)
    this.CONSUME(word.else)
    this.CONSUME2(sign.openCurly)
    this.SUBRULE3(this.expr)
    this.CONSUME2(sign.closeCurly)
  })

  /** The grammar is the same in every process: whether it is sound is looked into by its test. */
  constructor(skipValidations: boolean) {
    super(tokenTypes, {
      recoveryEnabled: true,
      maxLookahead: 2,
      nodeLocationTracking: 'onlyOffset',
      errorMessageProvider: expected,
      skipValidations,
    })
  }

  /** Chevrotain's hook, which its types leave out. Recovery nests where the text does not: text after text that fits nowhere. */
  SAVE_ERROR(error: IRecognitionException): IRecognitionException {
    const saved = inherited.SAVE_ERROR.call(this, error)
    if (this.errors.length >= mostErrors) throw new TooManyErrors()
    return saved
  }

  /** Whether the token `ahead` places from here (1 is the next) has one of these types. */
  protected comes(ahead: number, ...types: readonly TokenType[]): boolean {
    return types.some((type) => tokenMatcher(this.LA(ahead), type))
  }
}
