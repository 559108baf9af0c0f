// Tables for the terminal: columns as wide as their widest cell, names to the left and numbers to the right.

/** Rows as lines; cells that miss at the end are empty. `left`: the columns, by number, that are aligned to the left. */
export function tableLines(rows: readonly (readonly string[])[], left: readonly number[] = [0]): string[] {
  const widths: number[] = []
  for (const cells of rows) for (const [i, cell] of cells.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  return rows.map((cells) =>
    cells
      .map((cell, i) => (left.includes(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  )
}

export const grouped = (value: number): string => Math.round(value).toLocaleString('en-US')
