// Tables in Markdown, a row at a time: benchmarks print what they have as soon as they have it.

export const row = (...cells: readonly string[]): void => console.log(`| ${cells.join(' | ')} |`)

export function head(...names: readonly string[]): void {
  row(...names)
  row(...names.map(() => '---'))
}
