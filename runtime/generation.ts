// The generation loop: read the prompt, then sample, show, read the sampled token, and so on. A token is read only when the
// next one is asked for, so breaking out of the loop costs nothing; until then it is `pending`, and a later generation on the
// same session reads it first.
import { checkAborted, fail } from './error-codes.ts'
import { createChooser, type ReadingTarget } from './choosers.ts'
import type { SamplingOptions } from './sampling.ts'
import { createStopFilter } from './stop-filter.ts'
import type { Tokenizer } from './tokenizer/index.ts'

export interface GenerateOptions extends SamplingOptions {
  /** Most tokens to generate; by default until the model ends or its context is full. */
  readonly maxTokens?: number
  /** Strings that end the generation; they are not shown. */
  readonly stop?: string | readonly string[]
  /** Ids that end it; by default EOS and BOS (models trained on a stream of documents end one by beginning the next). */
  readonly stopTokens?: readonly number[]
  /** Recognise special tokens in a prompt given as text, as chat templates write them. */
  readonly special?: boolean
  /** Further arguments of the entries, such as `{ src_len: 7 }`. */
  readonly args?: Readonly<Record<string, number>>
  readonly signal?: AbortSignal
}

export type StopReason = 'end' | 'length' | 'stop' | 'context'

export interface GeneratedPiece {
  readonly token: number
  /** Text that this token completed: may be empty; never ends inside a character. '' without a tokenizer. */
  readonly text: string
  /** Place of the token in the sequence. */
  readonly position: number
  /** On the last piece: a stop token, maxTokens, a stop string, or a full context. */
  readonly stop?: StopReason
}

/** What the loop needs of a session. */
export interface GenerationTarget extends ReadingTarget {
  readonly tokenizer: Tokenizer | undefined
  /** A sampled id that has not been read. */
  pending: number | undefined
}

/** `take`: takes the session for as long as the loop goes, and gives what ends that. E_NO_TOKENIZER, E_ARGUMENT, E_TOKEN_RANGE, E_CONTEXT_FULL (the prompt does not fit), E_ABORTED, and a device's errors. */
export async function* generatePieces(
  target: GenerationTarget,
  prompt: string | Iterable<number>,
  options: GenerateOptions,
  take: () => () => void,
): AsyncGenerator<GeneratedPiece, void, void> {
  const giveBack = take()
  try {
    const { signal, args = {}, maxTokens = Infinity } = options
    if (!(maxTokens >= 0)) fail('E_ARGUMENT', `maxTokens is ${maxTokens}; expected a number from 0`)
    const chooser = createChooser(target, options, args)
    const { tokenizer } = target
    const stops = createStopFilter(typeof options.stop === 'string' ? [options.stop] : (options.stop ?? []))
    const ends = new Set(options.stopTokens ?? [tokenizer?.eos, tokenizer?.bos])
    checkAborted(signal)

    const ids = promptIds(target, prompt, options)
    if (target.pending !== undefined) ids.unshift(target.pending)
    if (ids.length === 0 && !target.scores)
      fail('E_ARGUMENT', 'the prompt is empty and the model has no BOS token: pass a prompt or token ids')
    if (maxTokens < 1) {
      if (ids.length > 0) await target.read(ids, args, signal)
      return
    }
    const last = ids.at(-1) ?? target.tokens.at(-1)
    if (ids.length > 0) await chooser.read(ids)
    const decoder = tokenizer?.decoder(last === undefined ? {} : { after: last })

    for (let count = 1; ; count++) {
      const chosen = chooser.next(count < maxTokens)
      const token = typeof chosen === 'number' ? chosen : await chosen
      const { position } = target
      target.pending = token
      let text = ''
      let stop: StopReason | undefined
      if (ends.has(token)) stop = 'end'
      else if (decoder) {
        const shown = stops.push(decoder.push(token))
        text = shown.text
        if (shown.stopped) stop = 'stop'
      }
      if (stop === undefined && count >= maxTokens) stop = 'length'
      if (stop === undefined && target.room(args) < 1) stop = 'context'
      if (stop === undefined) {
        yield { token, text, position }
        checkAborted(signal)
        const read = chooser.read([token])
        if (read) await read
        continue
      }
      if (stop !== 'stop' && decoder) {
        const rest = stops.push(decoder.end())
        text += rest.text
        if (!rest.stopped) text += stops.end()
      }
      yield { token, text, position, stop }
      return
    }
  } finally {
    giveBack()
  }
}

function promptIds(target: GenerationTarget, prompt: string | Iterable<number>, options: GenerateOptions): number[] {
  const { tokenizer } = target
  const first = target.position === 0 && target.pending === undefined
  let ids: number[]
  if (typeof prompt !== 'string') ids = [...prompt]
  else if (prompt === '') ids = []
  else {
    if (!tokenizer) fail('E_NO_TOKENIZER', 'the artifact has no tokenizer: pass token ids instead of text')
    ids = tokenizer.encode(prompt, { special: options.special ?? false, ...(first ? {} : { bos: false, eos: false, prefixSpace: false }) })
  }
  // Without a prompt the model begins a document.
  if (ids.length === 0 && first && !target.scores && tokenizer?.bos !== undefined) ids.push(tokenizer.bos)
  return ids
}
