// The sampler of a WebGPU program (compiler/sampler): dispatches after those of an entry that gives the scores of a next token. Its
// parameters follow the symbols in the uniform buffer, what it keeps between its functions is a buffer of its own, and which ids were
// seen belongs to a session. The token goes to where the host reads it, and to the argument of the entry that reads one token: so
// the next step can follow without the host.

import type { WebgpuProgram } from '../../../runtime/artifact/manifest.ts'
import type { EntryInfo } from '../../../dsl/model.ts'
import { blocksOf, parameters } from '../../sampler/parts.ts'
import { chooseToken } from '../../sampler/choose.ts'
import { adjustScores, weighScores } from '../../sampler/weigh.ts'
import type { LoopFunction } from '../../schedule/loops.ts'
import { guaranteed, type OperandPlace } from './bindings.ts'
import { planDispatch } from './dispatch.ts'

type Entry = WebgpuProgram['entries'][string]
type Dispatch = Entry['dispatches'][number]

/** Ids are exact in f32. */
const mostIds = 2 ** 24
const drawingEntries: readonly string[] = ['prefill', 'decode']

/** How many scores an entry gives for the next token; undefined where its first result is something else. */
export function scoresOf({ name, results }: EntryInfo): number | undefined {
  const [scores] = results
  const dims = scores?.type.dims ?? []
  if (!drawingEntries.includes(name) || scores?.name !== undefined || scores?.type.dtype !== 'f32' || dims.length !== 1) return undefined
  const [ids] = dims
  return ids!.terms.length === 0 && ids!.const > 0 && ids!.const < mostIds ? ids!.const : undefined
}

/** The argument of an entry that holds the one id it reads. */
const idArgument = ({ name, arguments: given }: EntryInfo): string | undefined =>
  name === 'decode'
    ? given.find((a) => a.kind === 'tensor' && a.type.dtype === 'i32' && a.type.dims.length === 1 && a.type.dims[0]!.const === 1)?.name
    : undefined

/** The program with a sampler for the entries that have scores; as it is where none has. */
export function withSampler(program: WebgpuProgram, infos: readonly EntryInfo[]): WebgpuProgram {
  const drawing = infos.flatMap((info) => {
    const vocab = scoresOf(info)
    return vocab === undefined ? [] : [{ info, vocab }]
  })
  const vocab = drawing[0]?.vocab
  if (vocab === undefined || drawing.some((other) => other.vocab !== vocab)) return program
  const modules = [...program.modules]
  const uniform = program.buffers.findIndex(({ kind }) => kind === 'uniform')
  const from = Math.ceil(program.buffers[uniform]!.bytes / guaranteed.offset) * guaranteed.offset
  const parameterBytes = Math.ceil(parameters.length / 4) * 16
  const buffers = program.buffers.map((buffer, i) => (i === uniform ? { ...buffer, bytes: from + parameterBytes } : buffer))
  const seen = buffers.push({ kind: 'seen', bytes: vocab * 4 }) - 1
  const words = { keys: vocab, tops: blocksOf(vocab), largest: blocksOf(vocab), sums: blocksOf(vocab), chosen: 4 }
  let end = 0
  const own = buffers.length
  const places = Object.fromEntries(
    Object.entries(words).map(([name, count]): [string, OperandPlace] => {
      const offset = end
      end += count * 4
      return [name, { kind: 'arena', buffer: own, offset, bytes: count * 4 }]
    }),
  ) as Record<keyof typeof words, OperandPlace>
  buffers.push({ kind: 'arena', bytes: Math.ceil(end / 16) * 16 })

  const dispatch = (fn: LoopFunction, operands: readonly OperandPlace[]): Dispatch => {
    const { wgsl, bindings, workgroups } = planDispatch(fn, operands, buffers, { symbols: parameters, bounds: new Map(), uniform })
    const known = modules.findIndex((module) => module.wgsl === wgsl)
    const module = known >= 0 ? known : modules.push({ name: fn.name, wgsl }) - 1
    const ranges = bindings.map((range) => (range.buffer === uniform ? { buffer: uniform, offset: from, bytes: parameterBytes } : range))
    return { module, bindings: ranges, workgroups }
  }
  const feeds = infos.flatMap((info) => {
    const argument = idArgument(info)
    return argument === undefined || scoresOf(info) === undefined ? [] : [{ entry: info.name, argument }]
  })[0]
  const next = feeds && program.entries[feeds.entry]!.arguments[feeds.argument]!
  const seenPlace: OperandPlace = { kind: 'state', buffer: seen, offset: 0, bytes: vocab * 4 }
  const [adjust, weigh, choose] = [adjustScores(vocab), weighScores(vocab), chooseToken(vocab, next !== undefined)]
  const entries = { ...program.entries }
  for (const { info } of drawing) {
    const entry = program.entries[info.name]!
    const scores: OperandPlace = { kind: 'arena', ...entry.results[0]!, bytes: vocab * 4 }
    const draw = [
      dispatch(adjust, [scores, seenPlace, places.keys, places.tops]),
      dispatch(weigh, [places.tops, places.keys, places.largest, places.sums]),
      dispatch(choose, [
        places.keys,
        places.largest,
        places.sums,
        places.chosen,
        seenPlace,
        ...(next ? [{ kind: 'arena' as const, ...next, bytes: 4 }] : []),
      ]),
    ]
    entries[info.name] = { ...entry, draw }
  }
  const chosen = { buffer: own, offset: places.chosen.offset }
  return { modules, buffers, entries, sampler: { parameters: from, chosen, seen, ...(feeds ? { feeds } : {}) } }
}
