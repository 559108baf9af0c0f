// The one table of diagnostic codes. A row is a code with its severity, its title (for lists, SARIF and `llamac explain`) and
// the long text behind it. L1xx is syntax, L2xx names and types, L3xx bodies and calls, L4xx configs and inheritance, L5xx
// checkpoints, L6xx targets. Codes are stable: a row may be reworded, never renumbered.

import type { Diagnostic, Label, Severity } from './diagnostics.ts'
import { limits } from './limits.ts'

/** What L260 covers; the limits of files and of nesting have codes of their own. */
function expansionLimits(): string {
  const others: readonly string[] = ['characters', 'words', 'brackets', 'treeHeight', 'calls', 'partDepth']
  const rows = Object.entries(limits).filter(([name]) => !others.includes(name))
  return rows.map(([, { most, what }]) => `${most.toLocaleString('en-US')} ${what}`).join('; ')
}

interface Row {
  readonly severity: Severity
  readonly title: string
  readonly explanation: string
}

const error = (title: string, explanation: string): Row => ({ severity: 'error', title, explanation })
const warning = (title: string, explanation: string): Row => ({ severity: 'warning', title, explanation })

export const codes = {
  L100: error(
    'the file is too large',
    `There may be ${limits.characters.most.toLocaleString('en-US')} ${limits.characters.what}, and ${limits.words.most.toLocaleString('en-US')} ${limits.words.what}. A model is a page or two; a larger file is most likely not source.`,
  ),
  L101: error(
    'unexpected token',
    'The text does not follow the grammar at this place. The message lists what may stand here. After an error the rest of the same member is not examined for further ones, so correct and run again.',
  ),
  L102: error(
    'unknown character',
    'Outside of strings and comments the language is written in ASCII: letters, digits, `_` and the signs of the grammar.',
  ),
  L103: error(
    'a string is not closed',
    'A string begins and ends with `"` on one line. Write `\\n` for a line break and `\\"` for a quote within.',
  ),
  L104: error(
    'a reserved word cannot be a name',
    'The words that begin declarations, members and statements, and `true false none inf not and or if else`, are reserved. `tied when with in ignore inherit preset drop expect runtime` are words only where the grammar asks for them and may be names elsewhere.',
  ),
  L105: error(
    'nested too deeply',
    `There may be ${limits.brackets.most} ${limits.brackets.what}, and ${limits.treeHeight.most} ${limits.treeHeight.what}. Name inner values with \`let\`.`,
  ),
  L106: error(
    'this is no number',
    'A number is `12`, `1.5` or `1e-5`; digits stand on both sides of the point and no letter follows directly. Whole numbers go up to 2^53 - 1.',
  ),
  L107: error('unknown escape in a string', 'A string knows `\\n`, `\\t`, `\\"` and `\\\\`.'),
  L108: error(
    'a value is not used',
    'A statement that is an expression must be a call, such as `layer.remember(x)`. Everything else would be computed and thrown away, which is nearly always a missing operator or `return`.',
  ),
  L109: error(
    'a field says nothing',
    'A config field has a type (`heads: dim`), a value (`heads = 8`) or annotations that change an inherited field.',
  ),
  L110: warning(
    'a doc comment belongs to nothing',
    'A `///` comment describes the declaration, member or field that follows it. Write `//` for other remarks.',
  ),

  L201: error(
    'unknown name',
    'Names are looked up in locals, size parameters, block parameters, members and config fields, in this order, then among the declarations of the file and its imports.',
  ),
  L202: error(
    'a module cannot be found',
    '`import std.nn` is the library that ships with the compiler, `import llama` a file beside this one or at the project root, `import "@acme/models/foo"` the file foo.dsl of an installed package, in `node_modules` beside the importing file or in a folder above.',
  ),
  L203: error(
    'a declaration depends on itself',
    'Imports, `extends`, parts and calls form no circles: everything is put in place at compile time.',
  ),
  L204: error(
    'a name is declared twice',
    'Names of one file, and members and fields of one declaration, are unique. Imported names count.',
  ),
  L205: error(
    'there is no such type',
    'Element types are f32 f16 bf16 i32 u32 i8 u8 bool, `real` (chosen at compile time) and `T` (any, in an op). Compile-time types are dim int float bool text axis index.',
  ),
  L206: error(
    'a value of another type is wanted',
    'Sizes and indices are whole numbers; conditions are bools. Compile-time values are not converted, except that whole numbers serve as floats.',
  ),
  L207: error(
    'this is no value or no function',
    'Only ops, functions, parts with a `forward` and the primitives can be called; ops and blocks are no values.',
  ),
  L208: error(
    'a conditional member is used without its condition',
    '`weight b: [n] when c` exists only when c holds. Its use must stand under `if c { … }` with the same text of condition; so must the calls of a function that uses it.',
  ),
  L209: error('a group of axes where a value is wanted', '`(g, n)` can only stand in `split` and `merge`.'),
  L210: error(
    'a tensor is wanted',
    'This operand is a tensor; a number can stand here only if its element type is known from the other side.',
  ),
  L211: error('a value may be none', 'An optional value must be tested before it is used: `if x != none { … }`.'),
  L212: warning(
    'a new size looks like a config field',
    'A name in a parameter type that is no config field is a size parameter, bound by the caller. This one is within two letters of a field: a misspelt field would silently accept every size.',
  ),
  L213: error('an axis has no label', 'Every axis has a label. A bare name labels its axis; otherwise write `label = size`.'),
  L214: error('axes are wanted', 'Here stands the name of an axis, or a list of axes such as `[s, t = 4]` or `axes(x)`.'),
  L215: error(
    'a size cannot be found',
    'At most one of the new axes of `split` may be left without a size; it gets what the others leave.',
  ),
  L216: error('`order` does not name each axis once', '`order(x, [b, a])` lists all axes of x in their new order.'),
  L217: error('there is nothing inherited', '`super(…)` calls the inherited version of an overridden function or entry.'),
  L218: error(
    'names and values differ in number',
    '`let (a, b) = …` takes a call with two results such as `topk`; everything else has one.',
  ),
  L219: error('`for` runs over parts only', 'A loop runs over `part name[i < n]: Block()`. Loops over data do not exist in this version.'),
  L220: error(
    'axes cannot be lined up',
    'In an elementwise operation the axes of one side must be a subsequence, by label and in order, of the axes of the other; missing axes are repeated. Use `expand` to add axes or `order` to rearrange them.',
  ),
  L221: error(
    'one axis has two lengths',
    'Both operands have the axis, with different sizes. `rename` one of them if they are different axes.',
  ),
  L222: error('an operand has other axes', 'The number of axes must be that of the parameter; a row `..b` takes any number.'),
  L223: error(
    'a config field names another axis',
    "In a block's function an axis written with a config field's name must arrive with that label and size.",
  ),
  L224: error(
    'a size parameter got two values',
    'All parameters that mention a size must agree on it. Both places are shown with the size each of them gives.',
  ),
  L225: error(
    'a parameter axis got two labels',
    'All parameters that mention an axis must bind it to the same axis of the caller, else the result could not be labelled.',
  ),
  L226: error(
    'mixed element types',
    'There is no implicit conversion between element types. Literals take the type of the other side; for everything else write the cast: `real(x)`, `f32(x)`.',
  ),
  L227: error(
    'an operation does not work on this element type',
    'Arithmetic is for numbers, `exp` and its like for floats, `and or not` for bools. Write a cast such as `f32(x)`.',
  ),
  L228: error(
    'a result would have one label twice',
    'Axes are addressed by label, so a tensor may have each label once. Use `rename` on one side first.',
  ),
  L230: error(
    'axes to merge are not neighbours',
    '`merge` joins axes that stand next to each other, in the order given. Use `order` first.',
  ),
  L231: error('a split is not known to be even', '`split h -> (g, n)` needs g to divide h. State the fact: `require h % g == 0`.'),
  L232: error(
    'a size is not affine',
    "Sizes that depend on the call are sums of whole multiples of the entry's sizes and indices: products and quotients of two of them cannot be planned.",
  ),
  L233: error('this reaches outside', 'The place is beyond the end of its axis for every possible call.'),
  L234: error('division by zero', 'The divisor is 0 with these numbers.'),
  L236: error('an entry can never run', 'Its limits leave no value for one of its sizes or indices.'),
  L237: error('an entry cannot take this', 'Entries are called from outside: they take tensors with plain axes and `index` numbers.'),
  L238: error(
    'an annotation means nothing here',
    '`@hf("key")` and `@gguf("key")` tell a config field which keys of a checkpoint\'s config it reads; without a key they remove an inherited one. `@precision(f32)` and `@quant(off)` keep a weight out of quantisation. There are no others.',
  ),
  L240: error(
    'the condition depends on a tensor',
    '`if` is decided at compile time. To choose by the values of a tensor use `where(condition, a, b)`, which computes both sides.',
  ),
  L241: error(
    'the condition depends on the call',
    '`if` is decided at compile time, but sizes and indices of an entry are known only in a call. Use `where`.',
  ),
  L242: error('the two sides of `if` differ', 'While the condition is not known both sides must have the same type.'),
  L250: warning(
    'nothing bounds a size of an entry',
    'Memory is planned for the largest size. A state, a table or `runtime name: a ..= b` bounds it; here nothing does.',
  ),

  L260: error(
    'more than the compiler takes',
    `Calls, parts and lists are put in place at compile time, so a short text can ask for endless work; the message says which limit it met. The limits: ${expansionLimits()}. No model needs as much: look for a size or a depth with the wrong value, or for functions that call each other again and again.`,
  ),

  L301: error('no such axis', '`over:` names the axes that disappear. In `dot` both sides must have them.'),
  L310: error('place and value of `store` differ', 'The value must have the axes of the place by position and size; labels may differ.'),
  L312: error(
    'a variable changes type in a loop',
    'A variable assigned in a loop is carried from one part to the next, so its type must be the same before and after.',
  ),
  L313: error('a body does not give what is promised', 'Element type, labels, order and sizes of the result must be those after `->`.'),
  L314: error('`return` stands in the wrong place', '`return` is the last statement of a body and stands in no loop.'),
  L315: error(
    'this cannot be stored to',
    '`store s[axis: start ..+ n] = v` or `store s[axis: idx] = v` with a one-axis idx, where s is a state of the same block.',
  ),
  L320: error('an argument is missing', 'Every parameter without a default must be given, by position or by name.'),
  L321: error('there is no such parameter', 'Arguments are positional, in order, or named with `name: value`.'),
  L322: error('an argument is given twice', 'Once by position and once by name, or twice by name.'),
  L330: error(
    'a state is stored to from two places',
    "A state belongs to one block instance: only a body of that block stores to it, and only one loop of an entry. Store in the block's own function, or give each loop its own state.",
  ),

  L401: error(
    'a requirement does not hold',
    'The author of the model wrote `require`. The text is theirs, with the values of this preset or config.',
  ),
  L402: error(
    'a config value has the wrong type',
    'A `dim` is a whole number and not negative, an `int` whole; a list has its declared length.',
  ),
  L403: error(
    'config values depend on each other in a circle',
    'Defaults may use other fields, but not each other in a circle. The message prints it.',
  ),
  L404: error('the preset is not defined', 'Presets are named sets of config values in the model; the message lists them.'),
  L405: error('a config field has no value', "Neither --set, nor the checkpoint's config, nor the preset, nor a default gives it."),
  L406: error('--set names no field', 'The message lists the nearest field.'),
  L410: error(
    'nothing to override',
    '`override` replaces an inherited member of the same name. Without such a member, leave `override` out or correct the name.',
  ),
  L411: error(
    'a member is redefined without `override`',
    'The parent has a member of this name. `override` says that the change is meant.',
  ),
  L412: error('nothing to drop', '`drop` removes an inherited member.'),
  L413: error('a member is overridden by another kind', 'A weight is overridden by a weight, a function by a function.'),
  L414: error('there is no table to inherit', "`inherit fmt` starts from the parent's table of that format."),
  L415: error(
    'a replacement does not fit',
    '`replace A with B` needs B to take the required parameters of A and to give the same result. Both signatures are shown.',
  ),
  L416: error('an argument is bound twice', 'A value bound by `replace` cannot be passed at the call as well.'),
  L417: error(
    'the choices of a part differ',
    'Both blocks of `if c { A() } else { B() }` must have the same `forward`, but for the names of sizes.',
  ),
  L418: error('tied weights differ in their axes', 'An alias has exactly the axes of the weight it is tied to.'),
  L420: error(
    'a config does not extend the one a block uses',
    "A block sees the fields of the config it uses; a model's config, and a derived block's, must be that one or extend it.",
  ),

  L501: error('a weight has no rule', 'Every weight needs exactly one rule in the checkpoint table of the format, or `tied`.'),
  L503: error(
    'a rule fits no weight',
    "A rule of the model's own table names a weight that does not exist. Inherited rules are skipped instead.",
  ),
  L504: error('there is no table for this format', 'Write `checkpoint fmt { … }`, or inherit one.'),
  L505: error(
    'a config key is ignored',
    'The checkpoint\'s config sets a key that changes what published variants compute, and the model neither reads it nor says what it expects. Read it with `@hf("key")` or pin it with `expect "key" = value`.',
  ),
  L506: error(
    'a shared tensor is taken over in part',
    'A rule with several weights on the left cuts one tensor among them. A later rule must take over all of them or none.',
  ),
  L507: error(
    "a rule's source or step is not known",
    'Sources are a name or `stack(e < n, "…{e}…")`; steps are transpose, join, rope_rows, add, scale, cast, chunk.',
  ),
  L508: error(
    "a tensor's name does not follow the indices",
    "The `{i}` in a name stand for the indices of the weight on the left (`layers[i]`) or of `stack`. Every hole needs an index, and every index a hole or a place in the rule's `when`, else all parts would read one tensor.",
  ),
  L509: error(
    'there is no such checkpoint format',
    'A container asks for one naming table: safetensors for `hf`, a GGUF file for `gguf("architecture")`, llama2.c\'s and Meta\'s for `meta`.',
  ),
  L510: error(
    'sizes differ between file and model',
    'The shape in the file, after the steps of the rule, and the shape the model wants must have the same row-major factors, sizes of 1 left out. Most often the config of the checkpoint was not given, or a number was set against it: the notes say which size would make the tensor fit.',
  ),
  L511: error(
    'a weight cannot be made from its tensor',
    'A step of the rule does not fit what is stored whatever its sizes are, or the file stores the tensor in a type that is not supported. The notes show what the file has.',
  ),
  L512: error(
    'a checkpoint of another model',
    'The checkpoint says whose it is (`model_type` in config.json), and the table expects another: nothing else is compared then. The message names a file that takes the checkpoint, if one ships. A model that computes the same may list several: `expect "model_type" = ["a", "b"]`.',
  ),
  L520: error(
    'unused tensors in the checkpoint',
    'Each tensor of the file must be used, ignored (`ignore "glob"`), or the stored copy of a tied weight. `--loose` makes this a warning.',
  ),

  L601: error(
    'a buffer exceeds the target',
    "The target's largest buffer is smaller than this tensor, or its memory than all of them. Use a smaller storage format or a target with larger buffers. Without weights, too little memory is a warning: the program is written, to be read.",
  ),
} as const satisfies Record<string, Row>

export type Code = keyof typeof codes

export interface Parts {
  /** One sentence with the user's own names, without a full stop. */
  readonly message: string
  /** The first is the place of the message. */
  readonly labels: readonly Label[]
  readonly notes?: readonly string[]
  readonly help?: string
}

/** A diagnostic of a known code; the severity is the table's. */
export function diagnose(code: Code, parts: Parts): Diagnostic {
  const { message, labels, notes = [], help } = parts
  return {
    code,
    severity: codes[code].severity,
    message: shortened(message),
    labels: labels.map((label) => (label.text === undefined ? label : { ...label, text: shortened(label.text) })),
    notes: notes.map(shortened),
    ...(help !== undefined && { help: shortened(help) }),
  }
}

const longestText = 1_000

/** Messages repeat what authors and files call things, and a name may be as long as a file. */
const shortened = (text: string): string =>
  text.length <= longestText ? text : `${text.slice(0, longestText / 2)} … ${text.slice(-longestText / 2)}`
