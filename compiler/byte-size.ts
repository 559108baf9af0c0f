// Bytes as people read them.

const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']

/** With a binary unit: `3.5 GiB`; whole below 1 KiB. */
export function byteSize(bytes: number): string {
  let [value, unit] = [bytes, 0]
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1]
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]!}`
}
