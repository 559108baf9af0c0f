// What a manifest and a WebGPU program must look like before anything is allocated from their numbers:
// first the shapes, then the relations (offsets inside files, addresses inside memory, indexes inside lists).
import { fail } from '../error-codes.ts'
import { isWide, manifestFormat, placesStride } from './manifest.ts'
import type { AffineJson, EntryManifest, Manifest, WasmVariant, WebgpuProgram } from './manifest.ts'
import { samplingWords } from './webgpu-program.ts'
import { anything, integer, listOf, mapOf, matching, object, oneOf, optional, pair, tagged, text } from './shape.ts'

/** Bytes under one SHA-256 of a shard. */
export const chunkBytes = 4 * 1024 * 1024

const number = integer(Number.MIN_SAFE_INTEGER)
const size = integer(0)
const address = integer(0, 0xffffffff)
const hash = matching(/^[0-9a-f]{64}$/, 'a SHA-256 in lower-case hex')
/** A plain file name: nothing in a manifest may point outside its folder. */
const fileName = matching(/^(?!\.)[A-Za-z0-9_.-]{1,200}$/, 'a plain file name')
const elementType = oneOf('f32', 'f16', 'bf16', 'i32', 'u32', 'i8', 'u8', 'bool')
const affine = object({ const: number, terms: listOf(pair(text, number)) })
const tensorValue = object({ name: optional(text), dtype: elementType, dims: listOf(affine), labels: listOf(text) })

const entry = object({
  name: text,
  doc: optional(text),
  arguments: listOf(
    tagged('kind', {
      tensor: object({ name: text, dtype: elementType, dims: listOf(affine), labels: listOf(text), below: optional(size) }),
      index: object({ name: text }),
    }),
  ),
  symbols: listOf(object({ name: text, kind: oneOf('size', 'index'), min: number, max: number })),
  limits: listOf(object({ left: affine, right: number, why: text })),
  results: listOf(tensorValue),
  role: optional(oneOf('prefill', 'decode', 'score', 'encode')),
})

const program = { requires: listOf(text), program: fileName, sha256: hash }
const variant = tagged('target', {
  wasm: object({
    ...program,
    memory: object({
      tensors: listOf(size),
      stateBytes: size,
      statesBase: size,
      arenaBase: address,
      arenaBytes: address,
      dataBytes: address,
    }),
    entries: mapOf(object({ export: text, symbols: listOf(text), arguments: mapOf(address), results: listOf(address) })),
    threads: optional(object({ mailbox: address, ownBase: address, ownBytes: address })),
  }),
  webgpu: object(program),
  reference: object({ requires: listOf(text) }),
})

const manifest = object({
  generator: text,
  model: text,
  preset: optional(text),
  config: mapOf(anything),
  parameters: size,
  math: oneOf('fast', 'strict'),
  activations: optional(oneOf('f32', 'int8')),
  entries: listOf(entry),
  states: listOf(
    object({
      path: text,
      dtype: elementType,
      format: optional(oneOf('q8_0')),
      dims: listOf(size),
      order: optional(listOf(size)),
      offset: size,
      bytes: size,
    }),
  ),
  tensors: listOf(object({ path: text, dims: listOf(size), format: text, layout: text, shard: size, offset: size, bytes: size })),
  shards: listOf(object({ file: fileName, bytes: size, chunks: listOf(hash) })),
  variants: listOf(variant),
  tokenizer: optional(object({ file: fileName, sha256: hash })),
  source: optional(object({ file: fileName, sha256: hash })),
})

const bad = (message: string): never => fail('E_ARTIFACT_MANIFEST', `manifest.json: ${message}`)

/** E_ARTIFACT_FORMAT for another format number, E_ARTIFACT_MANIFEST for anything else that is wrong. */
export function checkManifest(value: unknown): Manifest {
  object({ format: size })(value, 'manifest.json')
  const format = (value as { format: number }).format
  if (format !== manifestFormat) {
    fail('E_ARTIFACT_FORMAT', `the artifact has format ${format}, this runtime reads format ${manifestFormat}: compile it again`)
  }
  manifest(value, 'manifest')
  const checked = value as Manifest
  checkWeights(checked)
  const names = new Set(checked.entries.map(({ name }) => name))
  if (names.size !== checked.entries.length) bad('two entries have the same name')
  for (const item of checked.entries) checkEntry(item)
  for (const item of checked.variants) if (item.target === 'wasm') checkWasm(item, checked)
  return checked
}

/** Bytes of a value in memory, at the largest sizes that its entry takes. */
function mostBytes(dims: readonly AffineJson[], symbols: EntryManifest['symbols']): number {
  const largest = ({ const: constant, terms }: AffineJson): number =>
    terms.reduce((sum, [name, factor]) => {
      const { min, max } = symbols.find((symbol) => symbol.name === name)!
      return sum + factor * (factor > 0 ? max : min)
    }, constant)
  return dims.reduce((product, dim) => product * Math.max(0, largest(dim)), 4)
}

/** Programs are given the values of an entry's symbols, by name. */
function checkSymbols(names: readonly string[], { name, symbols }: EntryManifest): void {
  const unknown = names.find((used) => !symbols.some((symbol) => symbol.name === used))
  if (unknown !== undefined) bad(`the program of entry ${name} wants the unknown symbol ${unknown}`)
}

/** Every affine of an entry uses only its symbols; index arguments are symbols. */
function checkEntry(item: Manifest['entries'][number]): void {
  const symbols = new Set(item.symbols.map(({ name }) => name))
  const tensors = item.arguments.flatMap((argument) => (argument.kind === 'tensor' ? argument.dims : []))
  for (const dim of [...tensors, ...item.results.flatMap(({ dims }) => dims), ...item.limits.map(({ left }) => left)]) {
    for (const [name] of dim.terms) if (!symbols.has(name)) bad(`entry ${item.name} uses the unknown symbol ${name}`)
  }
  for (const { kind, name } of item.arguments) {
    if (kind === 'index' && !symbols.has(name)) bad(`the index ${name} of entry ${item.name} is not among its symbols`)
  }
}

/** It describes a model, of any size, and cannot run. */
export const lacksWeights = ({ shards, tensors }: Manifest): boolean => shards.length === 0 && tensors.some(({ bytes }) => bytes > 0)

function checkWeights({ shards, tensors }: Manifest): void {
  for (const { file, bytes, chunks } of shards) {
    if (chunks.length !== Math.ceil(bytes / chunkBytes)) bad(`${file} has ${bytes} bytes but ${chunks.length} chunk hashes`)
  }
  if (shards.length === 0) return
  let last = { shard: 0, end: 0 }
  for (const { path, shard, offset, bytes } of tensors) {
    const file = shards[shard]
    if (!file || offset + bytes > file.bytes) bad(`the tensor ${path} lies outside its shard`)
    if (offset % 256 !== 0) bad(`the tensor ${path} does not start at a multiple of 256`)
    if (shard < last.shard || (shard === last.shard && offset < last.end)) bad(`the tensor ${path} is out of order or overlaps another`)
    last = { shard, end: offset + bytes }
  }
}

function checkWasm(item: WasmVariant, artifact: Manifest): void {
  const { tensors, states, entries } = artifact
  const { memory } = item
  if (memory.tensors.length !== tensors.length) bad(`${memory.tensors.length} addresses for ${tensors.length} tensors`)
  if (memory.statesBase % 256 !== 0) bad('statesBase is not a multiple of 256')
  const gibibytes = isWide(item) ? 16 : 4
  if (!lacksWeights(artifact) && memory.statesBase + memory.stateBytes > gibibytes * 2 ** 30)
    bad(`the states reach beyond ${gibibytes} GiB`)
  if (memory.arenaBase + memory.arenaBytes > memory.statesBase) bad('the arena reaches into the states')
  for (const [index, { path, bytes }] of tensors.entries()) {
    const at = memory.tensors[index]!
    if (at % 16 !== 0 || at + bytes > memory.statesBase) bad(`the tensor ${path} has no place in memory`)
    if (at < memory.arenaBase + memory.arenaBytes && memory.arenaBase < at + bytes) bad(`the tensor ${path} overlaps the arena`)
  }
  if (item.requires.includes('threads') !== (item.threads !== undefined))
    bad('a variant says what threads need without needing them, or the other way round')
  if (item.threads) {
    const { mailbox, ownBase, ownBytes } = item.threads
    if (mailbox % 4 !== 0 || mailbox + 512 > memory.statesBase) bad('the mailbox of the threads has no place in memory')
    if (
      ownBase % (isWide(item) ? 256 : 16) !== 0 ||
      ownBase < memory.arenaBase ||
      ownBase + ownBytes > memory.arenaBase + memory.arenaBytes
    )
      bad('the own memory of thread 0 lies outside the arena')
  }
  for (const { path, offset, bytes } of states) if (offset + bytes > memory.stateBytes) bad(`the state ${path} lies outside its block`)
  const arenaEnd = memory.arenaBase + memory.arenaBytes
  for (const entry of entries) {
    const { name, arguments: given, results, symbols } = entry
    const at = Object.hasOwn(item.entries, name) ? item.entries[name]! : bad(`the WASM program lacks the entry ${name}`)
    checkSymbols(at.symbols, entry)
    const inArena = (address: number, dims: readonly AffineJson[], what: string): void => {
      if (address % 4 !== 0 || address < memory.arenaBase || address + mostBytes(dims, symbols) > arenaEnd)
        bad(`${what} of entry ${name} lies outside the arena`)
    }
    const places = new Map(Object.entries(at.arguments))
    for (const argument of given) {
      if (argument.kind !== 'tensor') continue
      inArena(places.get(argument.name) ?? bad(`entry ${name} has no place for ${argument.name}`), argument.dims, argument.name)
      places.delete(argument.name)
    }
    if (places.size > 0) bad(`the WASM program wants arguments that entry ${name} does not have`)
    if (at.results.length !== results.length) bad(`entry ${name} has ${results.length} results but ${at.results.length} places`)
    for (const [index, { dims }] of results.entries()) inArena(at.results[index]!, dims, `result ${index + 1}`)
  }
}

const place = object({ buffer: size, offset: size })
const dispatches = listOf(
  object({
    module: size,
    bindings: listOf(object({ buffer: size, offset: size, bytes: size })),
    workgroups: listOf(listOf(object({ size: affine, divisor: integer(1) }))),
  }),
)
const webgpuProgram = object({
  modules: listOf(object({ name: text, wgsl: text, forms: optional(listOf(object({ requires: listOf(text), wgsl: text }))) })),
  buffers: listOf(
    tagged('kind', {
      tensor: object({ tensor: size, offset: size, bytes: size }),
      state: object({ state: size, bytes: size }),
      arena: object({ bytes: size }),
      uniform: object({ bytes: size }),
      seen: object({ bytes: size }),
      places: object({ bytes: size, rows: listOf(listOf(integer(0, 0x7fffffff))) }),
    }),
  ),
  entries: mapOf(
    object({
      symbols: listOf(text),
      arguments: mapOf(place),
      results: listOf(place),
      dispatches,
      draw: optional(dispatches),
    }),
  ),
  sampler: optional(object({ parameters: size, chosen: place, seen: size, feeds: optional(object({ entry: text, argument: text })) })),
})

/** E_ARTIFACT_MANIFEST when a list, range or index of the program is wrong. */
export function checkWebgpuProgram(value: unknown, { tensors, states, entries }: Manifest): WebgpuProgram {
  webgpuProgram(value, 'program')
  const { buffers, modules, entries: found } = value as WebgpuProgram
  const inside = (buffer: number, offset: number, bytes: number): boolean => {
    const target = buffers[buffer]
    return target !== undefined && offset + bytes <= Math.ceil(target.bytes / 4) * 4
  }
  for (const buffer of buffers) {
    // The last buffer of a tensor may be padded to 16 bytes, the least that WebGPU binds comfortably.
    const end = buffer.kind === 'tensor' ? Math.ceil((tensors[buffer.tensor]?.bytes ?? -16) / 16) * 16 : 0
    if (buffer.kind === 'tensor' && buffer.offset + buffer.bytes > end) bad('a buffer lies outside its tensor')
    if (buffer.kind === 'state' && !(buffer.state < states.length)) bad('a buffer belongs to no state')
    if (
      buffer.kind === 'places' &&
      (buffer.bytes !== placesStride * buffer.rows.length || buffer.rows.some(({ length }) => length > placesStride / 4))
    )
      bad('the places of the WebGPU program do not fit their buffer')
    if (buffer.bytes > 2 ** 32) bad('a buffer is larger than 4 GiB')
  }
  for (const entry of entries) {
    const { name, results, symbols, arguments: given } = entry
    const entryProgram = Object.hasOwn(found, name) ? found[name]! : bad(`the WebGPU program lacks the entry ${name}`)
    checkSymbols(entryProgram.symbols, entry)
    if (entryProgram.results.length !== results.length)
      bad(`entry ${name} has ${results.length} results but ${entryProgram.results.length} places`)
    const places = new Map(Object.entries(entryProgram.arguments))
    const tensorsGiven = given.flatMap((argument) => (argument.kind === 'tensor' ? [argument] : []))
    const held = [
      ...tensorsGiven.map(
        (argument) => [places.get(argument.name) ?? bad(`entry ${name} has no place for ${argument.name}`), argument.dims] as const,
      ),
      ...results.map(({ dims }, index) => [entryProgram.results[index]!, dims] as const),
    ]
    if (places.size !== tensorsGiven.length) bad(`the WebGPU program wants arguments that entry ${name} does not have`)
    for (const [{ buffer, offset }, dims] of held) {
      if (offset % 4 !== 0 || !inside(buffer, offset, mostBytes(dims, symbols)))
        bad(`entry ${name} has an argument or result outside its buffer`)
    }
    for (const { module, bindings, workgroups } of [...entryProgram.dispatches, ...(entryProgram.draw ?? [])]) {
      if (module >= modules.length) bad(`entry ${name} uses a module that is not there`)
      for (const factors of workgroups) {
        for (const { size } of factors) {
          const unknown = size.terms.find(([used]) => !entryProgram.symbols.includes(used))
          if (unknown) bad(`entry ${name} has a dispatch over the unknown symbol ${unknown[0]}`)
        }
      }
      if (workgroups.length > 3) bad(`entry ${name} has a dispatch of ${workgroups.length} dimensions`)
      for (const { buffer, offset, bytes } of bindings)
        if (!inside(buffer, offset, bytes)) bad(`entry ${name} binds a range outside its buffer`)
    }
  }
  checkSampler(value as WebgpuProgram, entries)
  return value as WebgpuProgram
}

function checkSampler({ sampler, buffers, entries: found }: WebgpuProgram, entries: Manifest['entries']): void {
  const drawing = entries.filter(({ name }) => found[name]!.draw)
  if (!sampler) return drawing.length > 0 ? bad('the WebGPU program draws tokens without a sampler') : undefined
  const holds = (buffer: number, kind: string, bytes: number): boolean => buffers[buffer]?.kind === kind && bytes <= buffers[buffer]!.bytes
  const uniform = buffers.findIndex(({ kind }) => kind === 'uniform')
  if (sampler.parameters % 256 !== 0 || !holds(uniform, 'uniform', sampler.parameters + samplingWords.length * 4))
    bad('the parameters of the sampler lie outside their buffer')
  const { chosen, seen, feeds } = sampler
  if (chosen.offset % 4 !== 0 || !holds(chosen.buffer, 'arena', chosen.offset + 4)) bad('the token of the sampler lies outside its buffer')
  for (const { name, results, symbols } of drawing)
    if (results.length === 0 || !holds(seen, 'seen', mostBytes(results[0]!.dims, symbols))) bad(`entry ${name} has no scores to draw from`)
  if (feeds) {
    const entry = drawing.find(({ name }) => name === feeds.entry)
    const argument = entry?.arguments.find(({ name }) => name === feeds.argument)
    if (!entry || argument?.kind !== 'tensor' || mostBytes(argument.dims, entry.symbols) !== 4)
      bad('the sampler feeds an argument that does not hold one token')
  }
}
