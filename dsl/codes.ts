// The one table of diagnostic codes. A row is a code with its severity, its title (for lists, SARIF and `llamac explain`) and
// the long text behind it. L1xx is syntax, L2xx names and types, L3xx bodies and calls, L4xx configs and inheritance, L5xx
// checkpoints, L6xx targets. Codes are stable: a row may be reworded, never renumbered.

import type { Diagnostic, Label, Severity } from './diagnostics.ts'

interface Row {
  readonly severity: Severity
  readonly title: string
  readonly explanation: string
}

const error = (title: string, explanation: string): Row => ({ severity: 'error', title, explanation })
const warning = (title: string, explanation: string): Row => ({ severity: 'warning', title, explanation })

export const codes = {
  L100: error('the file is too large', 'A source file may have a million characters. A model is a page or two; a larger file is most likely not source.'),
  L101: error('unexpected token', 'The text does not follow the grammar at this place. The message lists what may stand here. After an error the rest of the same member is not examined for further ones, so correct and run again.'),
  L102: error('unknown character', 'Outside of strings and comments the language is written in ASCII: letters, digits, `_` and the signs of the grammar.'),
  L103: error('a string is not closed', 'A string begins and ends with `"` on one line. Write `\\n` for a line break and `\\"` for a quote within.'),
  L104: error('a reserved word cannot be a name', 'The words that begin declarations, members and statements, and `true false none inf not and or if else`, are reserved. `tied when with in ignore inherit preset drop expect runtime` are words only where the grammar asks for them and may be names elsewhere.'),
  L105: error('nested too deeply', 'Brackets may be nested 100 deep and an expression may be 400 operations high. Name inner values with `let`.'),
  L106: error('this is no number', 'A number is `12`, `1.5` or `1e-5`; digits stand on both sides of the point and no letter follows directly. Whole numbers go up to 2^53 - 1.'),
  L107: error('unknown escape in a string', 'A string knows `\\n`, `\\t`, `\\"` and `\\\\`.'),
  L108: error('a value is not used', 'A statement that is an expression must be a call, such as `layer.remember(x)`. Everything else would be computed and thrown away, which is nearly always a missing operator or `return`.'),
  L109: error('a field says nothing', 'A config field has a type (`heads: dim`), a value (`heads = 8`) or annotations that change an inherited field.'),
  L110: warning('a doc comment belongs to nothing', 'A `///` comment describes the declaration, member or field that follows it. Write `//` for other remarks.'),

  L201: error('unknown name', 'Names are looked up in locals, size parameters, block parameters, members and config fields, in this order, then among the declarations of the file and its imports.'),
  L212: warning('a new size looks like a config field', 'A name in a parameter type that is no config field is a size parameter, bound by the caller. This one is within two letters of a field: a misspelt field would silently accept every size.'),
  L220: error('axes cannot be lined up', 'In an elementwise operation the axes of one side must be a subsequence, by label and in order, of the axes of the other; missing axes are repeated. Use `expand` to add axes or `order` to rearrange them.'),
  L224: error('a size parameter got two values', 'All parameters that mention a size must agree on it. Both places are shown with the size each of them gives.'),
  L226: error('mixed element types', 'There is no implicit conversion between element types. Literals take the type of the other side; for everything else write the cast: `real(x)`, `f32(x)`.'),
  L228: error('a result would have one label twice', 'Axes are addressed by label, so a tensor may have each label once. Use `rename` on one side first.'),
  L230: error('axes to merge are not neighbours', '`merge` joins axes that stand next to each other, in the order given. Use `order` first.'),
  L231: error('a split is not known to be even', '`split h -> (g, n)` needs g to divide h. State the fact: `require h % g == 0`.'),
  L240: error('the condition depends on a tensor', '`if` is decided at compile time. To choose by the values of a tensor use `where(condition, a, b)`, which computes both sides.'),

  L301: error('no such axis', '`over:` names the axes that disappear. In `dot` both sides must have them.'),
  L310: error('place and value of `store` differ', 'The value must have the axes of the place by position and size; labels may differ.'),
  L312: error('a variable changes type in a loop', 'A variable assigned in a loop is carried from one part to the next, so its type must be the same before and after.'),
  L320: error('an argument is missing', 'Every parameter without a default must be given, by position or by name.'),

  L401: error('a requirement does not hold', 'The author of the model wrote `require`. The text is theirs, with the values of this preset or config.'),
  L404: error('the preset is not defined', 'Presets are named sets of config values in the model; the message lists them.'),
  L410: error('nothing to override', '`override` replaces an inherited member of the same name. Without such a member, leave `override` out or correct the name.'),
  L411: error('a member is redefined without `override`', 'The parent has a member of this name. `override` says that the change is meant.'),
  L415: error('a replacement does not fit', '`replace A with B` needs B to take the required parameters of A and to give the same result. Both signatures are shown.'),

  L501: error('a weight has no rule', 'Every weight needs exactly one rule in the checkpoint table of the format, or `tied`.'),
  L505: error('a config key is ignored', 'The checkpoint\'s config sets a key that changes what published variants compute, and the model neither reads it nor says what it expects. Read it with `@hf("key")` or pin it with `expect "key" = value`.'),
  L510: error('sizes differ between file and model', 'The shape in the file and the shape the model wants must have the same row-major factors, sizes of 1 left out. Most often the config of the checkpoint was not given: use `--config` or `--set`.'),
  L511: error('a weight cannot be made from its tensor', 'A step of the rule does not fit the stored shape, or the file stores the tensor in a type that is not supported. The notes show what the file has.'),
  L520: error('unused tensors in the checkpoint', 'Each tensor of the file must be used, ignored (`ignore "glob"`), or the stored copy of a tied weight. `--loose` makes this a warning.'),

  L601: error('a buffer exceeds the target', 'The target\'s largest buffer is smaller than this tensor. Use a smaller storage format or a target with larger buffers.'),
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
  return { code, severity: codes[code].severity, message, labels, notes, ...(help !== undefined && { help }) }
}
