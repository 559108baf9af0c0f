// How many terminal columns a text takes, and text made safe to print.
// Wide (East Asian, emoji) characters take two columns, combining ones none. Control characters and direction overrides are
// replaced: model text and tensor names come from strangers and must not steer the terminal.

/** Ranges of wide characters, after Unicode's EastAsianWidth (W and F), joined where only unassigned points lie between. */
const wide: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x231a, 0x231b],
  [0x2329, 0x232a],
  [0x23e9, 0x23ec],
  [0x25fd, 0x25fe],
  [0x2614, 0x2615],
  [0x2648, 0x2653],
  [0x26a1, 0x26a1],
  [0x26bd, 0x26be],
  [0x26c4, 0x26c5],
  [0x26ce, 0x26ce],
  [0x2705, 0x2705],
  [0x270a, 0x270b],
  [0x2728, 0x2728],
  [0x274c, 0x274c],
  [0x2753, 0x2755],
  [0x2795, 0x2797],
  [0x2b1b, 0x2b1c],
  [0x2b50, 0x2b50],
  [0x2e80, 0x303e],
  [0x3041, 0x4dbf],
  [0x4e00, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f004, 0x1f004],
  [0x1f0cf, 0x1f0cf],
  [0x1f18e, 0x1f18e],
  [0x1f191, 0x1f19a],
  [0x1f200, 0x1f320],
  [0x1f32d, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f7e0, 0x1f7eb],
  [0x1f90c, 0x1f9ff],
  [0x1fa70, 0x1faff],
  [0x20000, 0x3fffd],
]
const tab = '    '

/** Columns of one code point that `printable` has let through. */
function columns(char: string): number {
  const point = char.codePointAt(0) as number
  if (point < 0x300) return 1
  if (/[\p{Mn}\p{Me}\u200d]/u.test(char)) return 0
  return wide.some(([from, to]) => from <= point && point <= to) ? 2 : 1
}

export function textWidth(text: string): number {
  let sum = 0
  for (const char of text) sum += columns(char)
  return sum
}

/** Tabs become four blanks; every other control or direction character and half surrogate becomes U+FFFD. */
export const printable = (text: string): string =>
  text.replace(/\t/g, tab).replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\p{Cs}]/gu, '\ufffd')
