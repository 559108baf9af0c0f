// How many threads a model gets when nobody says.
import type { Manifest } from '../artifact/manifest.ts'
import { fail } from '../error-codes.ts'

/**
 * Below this many bytes of weights a token takes a millisecond or less. Threads meet some five times a layer, which costs
 * nothing while each has a processor but tens of microseconds a time when neighbours take one.
 */
const worthwhileBytes = 32 * 2 ** 20
/** Decoding is bound by the memory's bandwidth, which a few threads use up. */
const enough = 4
const most = 64

/**
 * The number itself, or for 'auto' (the default): one thread for models with less than 32 MiB of weights, else as many as the
 * machine has processors, at most four. E_ARGUMENT unless it is a whole number from 1 to 64.
 */
export function threadCount(wanted: number | 'auto' = 'auto', { tensors }: Pick<Manifest, 'tensors'>): number {
  if (wanted === 'auto') {
    const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0)
    const processors = typeof navigator === 'undefined' ? 1 : (navigator.hardwareConcurrency ?? 1)
    return bytes < worthwhileBytes ? 1 : Math.max(1, Math.min(processors, enough))
  }
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > most)
    fail('E_ARGUMENT', `threads is ${wanted}; expected 'auto' or a whole number from 1 to ${most}`)
  return wanted
}
