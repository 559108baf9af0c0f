// Texts that are looked for at a place of another text, in one hash table of (node, character) → node: a step costs the same however many
// texts there are, and the table is three typed arrays.

/** A place in the trie; 0 is its root, -1 none. */
export type TrieNode = number

export class Trie {
  readonly #nodes: Int32Array
  readonly #codes: Uint16Array
  readonly #children: Int32Array
  readonly #values: Int32Array
  readonly #shift: number
  #count = 1

  /** Texts with their values, 0 or more. Of equal texts the first counts; empty ones are left out. */
  constructor(entries: readonly (readonly [string, number])[]) {
    const most = entries.reduce((sum, [text]) => sum + text.length, 1)
    const bits = Math.max(4, Math.ceil(Math.log2(2 * most)))
    this.#shift = 32 - bits
    this.#nodes = new Int32Array(2 ** bits)
    this.#codes = new Uint16Array(2 ** bits)
    this.#children = new Int32Array(2 ** bits)
    this.#values = new Int32Array(most).fill(-1)
    for (const [text, value] of entries) {
      let node = 0
      for (let i = 0; i < text.length; i++) {
        const at = this.#place(node, text.charCodeAt(i))
        if (this.#children[at] === 0) {
          this.#nodes[at] = node
          this.#codes[at] = text.charCodeAt(i)
          this.#children[at] = this.#count++
        }
        node = this.#children[at]!
      }
      if (node > 0 && this.#values[node] === -1) this.#values[node] = value
    }
  }

  /** The node behind `node` for a UTF-16 code; -1 when no text goes on so. */
  next(node: TrieNode, code: number): TrieNode {
    return this.#children[this.#place(node, code)]! || -1
  }

  /** The value of the text that ends at a node; -1 when none does. */
  value(node: TrieNode): number {
    return this.#values[node]!
  }

  /** Where (node, code) lies, or would: no node is a child of the last, so 0 is free. */
  #place(node: TrieNode, code: number): number {
    const mask = this.#nodes.length - 1
    let at = (Math.imul(node, 0x9e3779b1) ^ Math.imul(code + 1, 0x85ebca6b)) >>> this.#shift
    while (this.#children[at] !== 0 && (this.#nodes[at] !== node || this.#codes[at] !== code)) at = (at + 1) & mask
    return at
  }
}
