// Codes that the command line adds to those of the language, the compiler and the runtime, with what they mean and what helps.

/** Code → what it means and what helps. */
export const cliCodes = {
  E_INTERNAL:
    'A fault of llamac, not of the user: please report it with the command and the files. LLAMAC_DEBUG=1 shows where it happened.',
  E_NODE: 'This Node is older than what llamac runs on; the message has both versions.',
  E_FILE: 'The operating system refuses to read or write a file; the message is its own.',
  E_SOURCE_FILE: 'A source file cannot be read.',
  E_TEXT_FILE: 'A text cannot be read, or is not UTF-8.',
  E_TEXT: 'A text that is to be judged holds nothing that can be predicted.',
  E_AGAINST: 'Two models can be compared token by token only if they cut text alike and score the same vocabulary.',
  E_PEER: 'A command that `bench` was to time beside the model cannot be run, or failed.',
  E_NO_KERNELS: 'Kernels can be called one by one only on WASM, in a program that exports them, from an artifact that keeps its source.',
  E_EXPAND: 'A model cannot be written as one file because two things would have one name; the message says what to rename.',
  E_OUTPUT_FILE: 'A result cannot be written to that file.',
  E_REFERENCE_NEEDS_SOURCE: "The reference evaluates the model's source: give the .dsl and its weights instead of the artifact.",
  E_NO_WEBGPU: 'WebGPU in Node needs the package `webgpu`, and without a GPU a software driver; the message says what is missing.',
} as const

export type CliCode = keyof typeof cliCodes

declare module '../runtime/error.ts' {
  interface ErrorCodeTables {
    cli: CliCode
  }
}
