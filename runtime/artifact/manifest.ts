// The artifact's manifest: what `llamac compile` writes and the runtime reads. A directory holds manifest.json, one program
// per variant, weight shards and the tokenizer. The runtime owns these types; the compiler imports them.
// All offsets and sizes are bytes. Everything is little-endian.

/**
 * Counts up when what is stored changes its meaning: manifest fields, programs or the bytes of layouts. 2: blocks of K-quants and of 5 bits.
 * 3: WebGPU's modules are lines of texts and have forms.
 */
export const manifestFormat = 3

export type ElementType = 'f32' | 'f16' | 'bf16' | 'i32' | 'u32' | 'i8' | 'u8' | 'bool'

/** Arguments and results of these types are f32 words; those of all others are integer words. */
export const isFloatType = (type: ElementType): boolean => type === 'f32' || type === 'f16' || type === 'bf16'

/** c + Σ factor·symbol, over the entry's symbols. */
export interface AffineJson {
  readonly const: number
  readonly terms: readonly (readonly [string, number])[]
}

export interface Manifest {
  readonly format: typeof manifestFormat
  readonly generator: string
  readonly model: string
  readonly preset?: string
  readonly config: Readonly<Record<string, unknown>>
  readonly parameters: number
  readonly math: 'fast' | 'strict'
  /** What quantised weights are multiplied with, where that was asked for. */
  readonly activations?: 'f32' | 'int8'
  readonly entries: readonly EntryManifest[]
  readonly states: readonly StateManifest[]
  /** Compile-time tables and weights, in file order. Empty `shards` = compiled without weights. */
  readonly tensors: readonly TensorManifest[]
  readonly shards: readonly ShardManifest[]
  /** The runtime takes the first variant whose needs are met. */
  readonly variants: readonly Variant[]
  readonly tokenizer?: { readonly file: string; readonly sha256: string }
  /** The texts that the model was compiled from, for tools; the runtime does not read them. */
  readonly source?: { readonly file: string; readonly sha256: string }
}

export interface EntryManifest {
  readonly name: string
  readonly doc?: string
  readonly arguments: readonly (
    | {
        readonly kind: 'tensor'
        readonly name: string
        readonly dtype: ElementType
        readonly dims: readonly AffineJson[]
        readonly labels: readonly string[]
        /** Inclusive upper bound of the values of an i32 argument that indexes a table (token ids), checked before a call. */
        readonly below?: number
      }
    | { readonly kind: 'index'; readonly name: string }
  )[]
  readonly symbols: readonly { readonly name: string; readonly kind: 'size' | 'index'; readonly min: number; readonly max: number }[]
  readonly limits: readonly { readonly left: AffineJson; readonly right: number; readonly why: string }[]
  /** The entry's own, then values by path that were asked for when compiling (`name`: `layers.3.attn`). */
  readonly results: readonly {
    readonly name?: string
    readonly dtype: ElementType
    readonly dims: readonly AffineJson[]
    readonly labels: readonly string[]
  }[]
  /** What a session may use the entry for: 'prefill' (tokens, start → scores of the next token), 'decode' (the same for one token), 'score', 'encode'. */
  readonly role?: 'prefill' | 'decode' | 'score' | 'encode'
}

export interface StateManifest {
  readonly path: string
  readonly dtype: ElementType
  /** How its numbers are stored, where its type does not say: in blocks of 32 along the last dim. */
  readonly format?: 'q8_0'
  /** As they lie in memory. */
  readonly dims: readonly number[]
  /** Which of the model's dims each of these is, where their order is another. */
  readonly order?: readonly number[]
  /** Offset in a session's state block (256-aligned) and its size there. */
  readonly offset: number
  readonly bytes: number
}

export interface TensorManifest {
  /** Weight path, or `table:<hash>` for a compile-time table. */
  readonly path: string
  readonly dims: readonly number[]
  /** Storage format: f32, f16, q8_0, q4_0, q4_1 … */
  readonly format: string
  /** `plain` row-major or `r8` (interleaved groups of 8 rows). */
  readonly layout: string
  readonly shard: number
  readonly offset: number
  readonly bytes: number
}

export interface ShardManifest {
  readonly file: string
  readonly bytes: number
  /** SHA-256 of every 4 MiB chunk, hex. */
  readonly chunks: readonly string[]
}

export type Variant = WasmVariant | WebgpuVariant | ReferenceVariant

export interface WasmVariant {
  readonly target: 'wasm'
  /**
   * Features beyond SIMD that the module needs: 'relaxed-simd', 'threads' (shared memory and workers); 'pair-dots': it is for engines that
   * make a 32-bit dot of bytes of a 16-bit one (it would be right, and slower, on others).
   */
  readonly requires: readonly string[]
  readonly program: string
  readonly sha256: string
  readonly memory: {
    /** Where tensors (weights, tables) start; tensor i lies at `tensors[i].memory`. */
    readonly tensors: readonly number[]
    /** One session's states: bytes. Session blocks are laid out from `statesBase` on by the runtime. */
    readonly stateBytes: number
    readonly statesBase: number
    /** Arena and pointer tables; argument and result slots are inside it. */
    readonly arenaBase: number
    readonly arenaBytes: number
    /** Bytes of read-only data (pointer tables) that the module's data segment fills, for information. */
    readonly dataBytes: number
  }
  /** Exported function `name(statesBase, ...symbols)`; arguments and results at these addresses. */
  readonly entries: Readonly<
    Record<
      string,
      {
        readonly export: string
        readonly symbols: readonly string[]
        readonly arguments: Readonly<Record<string, number>>
        readonly results: readonly number[]
      }
    >
  >
  /**
   * Present where `requires` has 'threads': memory is shared, and entries take (statesBase, ...symbols, own, thread, threads,
   * arrived), called by every thread of a team. The module exports what compiler/targets/wasm/threads.ts lists.
   */
  readonly threads?: {
    /** 128 words for the runtime: what to call next. */
    readonly mailbox: number
    /** `own` of thread 0, and how much memory of its own every other thread needs. */
    readonly ownBase: number
    readonly ownBytes: number
  }
}

/** Whether a module has 64-bit addresses, for memories beyond 4 GiB. */
export const isWide = ({ requires }: Pick<WasmVariant, 'requires'>): boolean => requires.includes('memory64')

/** Bytes that one counts of an address (statesBase, own) that an entry takes: i32 in every module, in a wide one blocks. */
export const addressUnit = (variant: Pick<WasmVariant, 'requires'>): 1 | 256 => (isWide(variant) ? 256 : 1)

/** Buffers of a WebGPU program. Weights are bound alone; arena parts and states are `read_write`. */
export interface WebgpuVariant {
  readonly target: 'webgpu'
  readonly requires: readonly string[]
  /** JSON file with the WGSL modules and the dispatch lists (WebgpuProgram). */
  readonly program: string
  readonly sha256: string
}

/** Bytes from one row of a buffer of places to the next: what the offset of a bound uniform must be a multiple of. */
export const placesStride = 256

export interface WebgpuProgram {
  /** `forms`: how a module is written where a device has the features that a form requires, the best first. */
  readonly modules: readonly { readonly name: string; readonly wgsl: string; readonly forms?: readonly WebgpuForm[] }[]
  /**
   * Every buffer that the program binds. kind 'tensor': filled from tensors[tensor] bytes [offset, offset + bytes).
   * 'state': one per session, and so 'seen', of the sampler. 'arena', 'uniform' (the symbols as i32, in the entry's order, 16-byte
   * padded; the sampler's words behind them): one per device.
   * 'places': a uniform that is filled once, with one row of i32 every `placesStride` bytes; each dispatch that binds it takes one row.
   */
  readonly buffers: readonly (
    | { readonly kind: 'tensor'; readonly tensor: number; readonly offset: number; readonly bytes: number }
    | { readonly kind: 'state'; readonly state: number; readonly bytes: number }
    | { readonly kind: 'arena'; readonly bytes: number }
    | { readonly kind: 'uniform'; readonly bytes: number }
    | { readonly kind: 'seen'; readonly bytes: number }
    | { readonly kind: 'places'; readonly bytes: number; readonly rows: readonly (readonly number[])[] }
  )[]
  readonly entries: Readonly<
    Record<
      string,
      {
        readonly symbols: readonly string[]
        readonly arguments: Readonly<Record<string, WebgpuPlace>>
        readonly results: readonly WebgpuPlace[]
        readonly dispatches: readonly WebgpuDispatch[]
        /** What follows where the next token is to be chosen from the first result. */
        readonly draw?: readonly WebgpuDispatch[]
      }
    >
  >
  /** Absent where no entry has `draw`. */
  readonly sampler?: {
    /** Byte of the uniform buffer where the words of a draw begin (samplingWords). */
    readonly parameters: number
    /** The token, i32; -1 when the scores were not finite. */
    readonly chosen: WebgpuPlace
    /** The buffer that holds, for each id, one more than the place where the session had it last; 0: nowhere. */
    readonly seen: number
    /** The argument that is left with the token: the entry can follow at once. */
    readonly feeds?: { readonly entry: string; readonly argument: string }
  }
}

export interface WebgpuForm {
  readonly requires: readonly string[]
  readonly wgsl: string
}

/** The program with its modules as they are written for devices with these features. */
export const programFor = (program: WebgpuProgram, features: readonly string[]): WebgpuProgram => ({
  ...program,
  modules: program.modules.map(({ name, wgsl, forms = [] }) => ({
    name,
    wgsl: forms.find(({ requires }) => requires.every((feature) => features.includes(feature)))?.wgsl ?? wgsl,
  })),
})

export interface WebgpuPlace {
  readonly buffer: number
  readonly offset: number
}

export interface WebgpuDispatch {
  readonly module: number
  /** binding i of group 0 → buffer, with byte range. */
  readonly bindings: readonly { readonly buffer: number; readonly offset: number; readonly bytes: number }[]
  /** Workgroups per dimension, each the product of factors ⌈affine / divisor⌉ over the symbols. */
  readonly workgroups: readonly (readonly { readonly size: AffineJson; readonly divisor: number }[])[]
}

export interface ReferenceVariant {
  readonly target: 'reference'
  readonly requires: readonly string[]
}
