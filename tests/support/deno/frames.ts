// Messages between two processes over pipes: JSON, and the bytes of its arrays behind it. A frame is two u32 (length of the JSON,
// of the bytes), then both. Objects of the GPU are sent as their numbers.

/** Stands for an object that lives in the process of the GPU: a number, or a property of one. */
export interface Reference {
  readonly $object: number
  readonly property?: string
}

/** Writes a value; what `referenceOf` knows goes as its reference, arrays of bytes go behind the JSON. */
export function encodeFrame(message: unknown, referenceOf: (value: object) => Reference | undefined = () => undefined): Buffer {
  const parts: Uint8Array[] = []
  let at = 0
  const plain = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value
    const reference = referenceOf(value)
    if (reference) return reference
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
      const bytes = ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value)
      parts.push(bytes)
      at += bytes.length
      return { $bytes: [at - bytes.length, bytes.length] }
    }
    if (Symbol.iterator in value) return Array.from(value as Iterable<unknown>, plain)
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]))
  }
  const json = Buffer.from(JSON.stringify(plain(message)))
  const head = Buffer.alloc(8)
  head.writeUInt32LE(json.length, 0)
  head.writeUInt32LE(at, 4)
  return Buffer.concat([head, json, ...parts])
}

/** Calls `take` with each message of a stream; `objectOf` gives the objects that references stand for. */
export function readFrames(
  stream: NodeJS.ReadableStream,
  take: (message: unknown) => void,
  objectOf: (reference: Reference) => unknown = (reference) => reference,
): void {
  const chunks: Buffer[] = []
  let [have, need] = [0, 8]
  const revive = (value: unknown, bytes: Buffer): unknown => {
    if (typeof value !== 'object' || value === null) return value
    if ('$object' in value) return objectOf(value as Reference)
    if ('$bytes' in value) {
      const [offset, length] = value.$bytes as [number, number]
      return new Uint8Array(bytes.subarray(offset, offset + length))
    }
    if (Array.isArray(value)) return value.map((part) => revive(part, bytes))
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, revive(part, bytes)]))
  }
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    have += chunk.length
    while (have >= need) {
      const all = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
      const json = all.readUInt32LE(0)
      need = 8 + json + all.readUInt32LE(4)
      const rest = have >= need ? all.subarray(need) : all
      chunks.splice(0, chunks.length, rest)
      have = rest.length
      if (rest === all) return
      const bytes = all.subarray(8 + json, need)
      need = 8
      take(revive(JSON.parse(all.toString('utf8', 8, 8 + json)), bytes))
    }
  })
}
