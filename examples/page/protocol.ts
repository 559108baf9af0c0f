// What the page and its worker tell each other. The worker does all the work (compiling, loading, generating), so that the page
// stays responsive; it takes one task at a time, and a new task ends the one before.

export type DeviceChoice = 'wasm' | 'webgpu'

export type Task =
  | {
      readonly kind: 'open'
      /** An artifact by its URL, or a checkpoint that is compiled first. */
      readonly source: string | File
      readonly device: DeviceChoice
      /** Positions of context of a checkpoint; its own if left out. */
      readonly context?: number
    }
  | {
      readonly kind: 'generate'
      readonly prompt: string
      readonly maxTokens: number
      readonly temperature: number
      readonly seed: number
    }
  | { readonly kind: 'time kernels' }
  | { readonly kind: 'stop' }

export interface KernelRow {
  readonly kernel: string
  /** How often it runs for a token. */
  readonly launches: number
  /** Of all its launches for a token. */
  readonly milliseconds: number
}

export interface Failure {
  /** A code of docs/errors.md; none for what is nobody's mistake but ours. */
  readonly code?: string
  readonly message: string
  readonly notes: readonly string[]
  readonly help?: string
}

export type Report =
  | { readonly kind: 'progress'; readonly text: string }
  | { readonly kind: 'opened'; readonly name: string; readonly parameters: number; readonly device: string; readonly milliseconds: number }
  | { readonly kind: 'piece'; readonly text: string }
  | {
      readonly kind: 'generated'
      readonly tokens: number
      /** From the start of the task to the first token, and of the tokens after it. */
      readonly firstMs: number
      readonly tokensPerSecond: number
      /** `end`, `length`, `context`, or `stopped` by the reader. */
      readonly stop: string
    }
  | { readonly kind: 'times'; readonly rows: readonly KernelRow[]; readonly note: string }
  | { readonly kind: 'failed'; readonly errors: readonly Failure[] }
