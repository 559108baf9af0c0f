// What a schedule has to know of a target. Numbers only: a schedule never asks for a target's name.

import { longestDispatchSeconds, slowestGpu, sustained } from '../cost-model.ts'

export interface Machine {
  /** Width of the vectors that loops are written in. */
  readonly lanes: 1 | 4
  /** Invocations that share one call of a kernel and its scratch memory, and as many as there may be where that helps. */
  readonly threads: number
  readonly mostThreads: number
  /** So many invocations keep all of a large device busy. */
  readonly busyThreads: number
  /** So many invocations side by side, or more, exchange values without memory; 0: none do. */
  readonly leastSubgroup: number
  /** Tokens that are worth a tile of outputs of their own. */
  readonly shortestTile: number
  /** Positions of attention that are worth a workgroup of their own. */
  readonly shortestChunk: number
  /** Largest scratch memory of one call, in words. */
  readonly scratchWords: number
  /** Rows of one call's split axis are handed out in blocks (`LoopFunction.rows`); else the grid covers them. */
  readonly rowBlocks: boolean
  /** Weights of so many bytes stay in a core's own cache while tile after tile of tokens passes over them. */
  readonly blockBytes: number
  /** Largest piece of memory that one operand may be, in bytes. */
  readonly bindingBytes: number
  /** Most multiply-adds of one dispatch, where nothing may run for long. */
  readonly dispatchMadds: number
  /** A product of bytes takes as long as so many of these. */
  readonly maddsPerDot: number
  /** All of its memory, in bytes, as far as it is known. */
  readonly memoryBytes: number
}

/**
 * WASM-SIMD: one thread a call, 4 lanes, scratch in the arena; 16 GiB are what engines allow with 64-bit addresses. Blocks of weights of
 * 128 KiB fit the second cache of any x86 or ARM core beside the activations; 24 KiB to 1 MiB are within 2 % of each other on an idle
 * machine (q4_1: 48 GMAC/s, row by row 46).
 */
export const wasmMachine: Machine = {
  lanes: 4,
  threads: 1,
  mostThreads: 1,
  busyThreads: 1,
  leastSubgroup: 0,
  shortestTile: Number.POSITIVE_INFINITY,
  shortestChunk: Number.POSITIVE_INFINITY,
  scratchWords: 1 << 26,
  rowBlocks: true,
  blockBytes: 128 * 2 ** 10,
  bindingBytes: Number.POSITIVE_INFINITY,
  dispatchMadds: Number.POSITIVE_INFINITY,
  maddsPerDot: 0.3,
  memoryBytes: 2 ** 34,
}

/** WebGPU's guaranteed minimum: 16 KiB of workgroup memory; 64 invocations fill a wave on every GPU. */
export const webgpuMachine: Machine = {
  lanes: 1,
  threads: 64,
  mostThreads: 256,
  busyThreads: 2 ** 15,
  leastSubgroup: 0,
  shortestTile: 8,
  shortestChunk: 64,
  scratchWords: 4096,
  rowBlocks: false,
  blockBytes: 0,
  bindingBytes: 128 * 2 ** 20,
  dispatchMadds: longestDispatchSeconds * sustained * slowestGpu.madd * 1e9,
  maddsPerDot: slowestGpu.madd / slowestGpu.dot,
  memoryBytes: Number.POSITIVE_INFINITY,
}

/** WebGPU with subgroups: 4 to 128 invocations, as the device has it. */
export const webgpuSubgroup = 4
