// Writes SentencePiece's precompiled_charsmap from pairs, the plain way: each node's children where they first fit. What runtime/tokenizer/charsmap.ts
// says of the form is all that the two share.

interface Node {
  readonly next: Map<number, Node>
  value?: number
}

/** The blob in base64. Keys are not empty. */
export function writeCharsmap(pairs: ReadonlyMap<string, string>): string {
  const utf8 = new TextEncoder()
  const root: Node = { next: new Map() }
  const replacements: number[] = []
  for (const [key, by] of pairs) {
    let node = root
    for (const byte of utf8.encode(key)) {
      let child = node.next.get(byte)
      if (!child) node.next.set(byte, (child = { next: new Map() }))
      node = child
    }
    node.value = replacements.length
    replacements.push(...utf8.encode(by), 0)
  }
  const units = new Map<number, number>([[0, 0]])
  /** Nodes with one base would find each other's children. */
  const bases = new Set<number>()
  const place = (node: Node, at: number): void => {
    const bytes = [...(node.value === undefined ? [] : [0]), ...node.next.keys()]
    let offset = 1
    while (bases.has(at ^ offset) || bytes.some((byte) => units.has(at ^ offset ^ byte))) offset++
    bases.add(at ^ offset)
    units.set(at, units.get(at)! | (offset << 10) | (node.value === undefined ? 0 : 256))
    for (const byte of bytes) units.set(at ^ offset ^ byte, byte)
    if (node.value !== undefined) units.set(at ^ offset, node.value | 0x80000000)
    for (const [byte, child] of node.next) place(child, at ^ offset ^ byte)
  }
  place(root, 0)
  const count = Math.max(...units.keys()) + 1
  const view = new DataView(new ArrayBuffer(4 + 4 * count + replacements.length))
  view.setUint32(0, 4 * count, true)
  for (const [at, unit] of units) view.setUint32(4 + 4 * at, unit >>> 0, true)
  new Uint8Array(view.buffer).set(replacements, 4 + 4 * count)
  return Buffer.from(view.buffer).toString('base64')
}
