// Flags that several commands share, and how their texts become values. A wrong value is wrong usage (exit code 2).

import { type Command, InvalidArgumentError, Option } from 'commander'
import { cacheFormats, type CacheRule } from '../compiler/plan/caches.ts'
import type { PathRule } from '../compiler/plan/path-rules.ts'
import { type QuantRule, quantPolicies } from '../compiler/plan/quant-policy.ts'
import type { Activations, TargetName } from '../compiler/targets/index.ts'
import { UsageError } from './report.ts'

/** What `compile` takes, and `run`, `logits` and `call` when they are given a .dsl. */
export interface CompileFlags {
  readonly target?: readonly TargetName[]
  readonly preset?: string
  readonly config?: string
  readonly set?: Readonly<Record<string, string>>
  readonly weights?: string
  readonly seedWeights?: number
  readonly tokenizer?: string
  readonly quant?: readonly QuantRule[]
  readonly cache?: readonly CacheRule[]
  /** A text that tells which columns of weights matter. */
  readonly calibrate?: string
  readonly math?: 'fast' | 'strict'
  readonly activations?: Activations
  readonly ctx?: number
  readonly maxSeq?: number
  readonly printAfter?: readonly string[]
  readonly disablePass?: readonly string[]
  readonly loose?: boolean
  /** Patterns of paths whose values are results too. */
  readonly tap?: readonly string[]
  /** False: the artifact keeps no texts of the model. */
  readonly source?: boolean
}

export type DeviceName = 'auto' | 'wasm' | 'webgpu' | 'reference'

const compileFlagNames = [
  'target',
  'preset',
  'config',
  'set',
  'weights',
  'seedWeights',
  'tokenizer',
  'quant',
  'cache',
  'calibrate',
  'math',
  'activations',
  'ctx',
  'maxSeq',
  'printAfter',
  'disablePass',
  'loose',
  'tap',
] as const satisfies readonly (keyof CompileFlags)[]

export const isSource = (path: string): boolean => path.endsWith('.dsl')

const append = <T>(value: T, before: readonly T[] | undefined): readonly T[] => [...(before ?? []), value]

/** A parser for whole numbers from `min`. */
export const whole =
  (min: number) =>
  (text: string): number => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < min)
      throw new InvalidArgumentError(`expected a whole number from ${min}`)
    return value
  }

/** A number from 0. */
export function amount(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) throw new InvalidArgumentError('expected a number from 0')
  return value
}

/** A part of a whole, from 0 to 1. */
export function share(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= 0 && value <= 1)) throw new InvalidArgumentError('expected a number from 0 to 1')
  return value
}

/** `1,2,3` */
export function ids(text: string): readonly number[] {
  const parts = text.split(',').map((part) => part.trim())
  if (parts.some((part) => !/^\d+$/.test(part))) throw new InvalidArgumentError('expected token ids such as 1,2,3')
  return parts.map(Number)
}

/** Collects a flag that may be given several times. */
export const several = (text: string, before: readonly string[] | undefined): readonly string[] => append(text, before)

/** Names with commas between them, or several flags. */
export const list = (text: string, before: readonly string[] | undefined): readonly string[] => [
  ...(before ?? []),
  ...text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
]

function setting(text: string, before: Readonly<Record<string, string>> | undefined): Readonly<Record<string, string>> {
  const cut = text.indexOf('=')
  if (cut <= 0) throw new InvalidArgumentError('expected field=value')
  return { ...before, [text.slice(0, cut).trim()]: text.slice(cut + 1).trim() }
}

/** `q8_0` for all, `layers.*.attn.*=q8_0` for some. */
const pathRule =
  <Policy extends string>(policies: readonly Policy[]) =>
  (text: string, before: readonly PathRule<Policy>[] | undefined): readonly PathRule<Policy>[] => {
    const cut = text.lastIndexOf('=')
    const policy = policies.find((name) => name === text.slice(cut + 1).trim())
    if (!policy) throw new InvalidArgumentError(`expected one of ${policies.join(', ')}, or paths=format`)
    return append({ paths: cut < 0 ? '*' : text.slice(0, cut).trim(), policy }, before)
  }

const targetNames: readonly TargetName[] = ['wasm', 'webgpu', 'reference']

function target(text: string, before: readonly TargetName[] | undefined): readonly TargetName[] {
  const found = targetNames.find((name) => name === text)
  if (!found) throw new InvalidArgumentError(`expected one of ${targetNames.join(', ')}`)
  return before?.includes(found) ? before : append(found, before)
}

export const addPreset = (command: Command): Command => command.option('--preset <name>', 'a preset of the model')

export function addCompileFlags(command: Command): Command {
  return addPreset(command)
    .addOption(new Option('--target <name>', 'wasm, webgpu or reference; repeatable (default: wasm)').argParser(target))
    .option('--config <file>', 'a config.json; by default the one beside the weights')
    .addOption(new Option('--set <field=value>', 'sets a field of the config; repeatable').argParser(setting))
    .option('--weights <path>', 'safetensors, GGUF or llama2.c file, or a folder')
    .addOption(new Option('--seed-weights <n>', 'pseudo-random weights from a seed').argParser(whole(0)).conflicts('weights'))
    .option('--tokenizer <path>', 'tokenizer file or folder; by default the one that comes with the weights')
    .addOption(
      new Option(
        '--quant <format>',
        `how weights are stored: ${quantPolicies.join(', ')} (default: keep); paths=format for some of them (layers.*.attn.*=q8_0); repeatable, the last that fits a weight counts`,
      ).argParser(pathRule(quantPolicies)),
    )
    .addOption(
      new Option(
        '--cache <format>',
        `how caches are stored: ${cacheFormats.join(', ')} (default: f32); paths=format for some of them (layers.*.attn.keys=f16); repeatable`,
      ).argParser(pathRule(cacheFormats)),
    )
    .option('--calibrate <file>', 'a text that the model reads first: what --quant rounds is weighed by what meets it there')
    .addOption(new Option('--math <mode>', 'strict: no relaxed SIMD, f32 activations (default: fast)').choices(['fast', 'strict']))
    .addOption(
      new Option(
        '--activations <type>',
        'what quantised weights are multiplied with: int8 rounds activations to 8 bits, in blocks of 32 (default: int8 on wasm with fast math, else f32)',
      ).choices(['f32', 'int8']),
    )
    .addOption(new Option('--ctx <n>', 'context length: sets the field ctx').argParser(whole(1)))
    .addOption(new Option('--max-seq <n>', 'most tokens in one call (default: 128, less with a large vocabulary)').argParser(whole(1)))
    .addOption(new Option('--print-after <pass>', 'prints graphs after a pass, or all, to stderr; repeatable').argParser(list))
    .addOption(new Option('--disable-pass <pass>', 'leaves a pass out (graph or kernel pass); repeatable').argParser(list))
    .option('--loose', 'tensors that no weight uses are warnings')
}

/** Values by path as further results, for the commands that show results or keep them for later. */
export const addTap = (command: Command): Command =>
  command.addOption(
    new Option('--tap <pattern>', "adds the values of parts to the results: 'layers.*', layers.3.attn, out_norm; repeatable").argParser(
      several,
    ),
  )

function threads(text: string): number | 'auto' {
  return text === 'auto' ? text : whole(1)(text)
}

/** Where an entry runs: --device. */
export const addDeviceName = (command: Command): Command =>
  command.addOption(
    new Option('--device <name>', 'where it runs (LLAMAC_WEBGPU_ADAPTER: the GPU, by a part of its name)')
      .choices(['auto', 'wasm', 'webgpu', 'reference'])
      .default('auto'),
  )

/** Where an entry runs: --device, --threads. */
export const addDevice = (command: Command): Command =>
  addDeviceName(command).addOption(
    new Option('--threads <n>', 'threads on WASM (default: auto, by the size of the weights and the processors)').argParser(threads),
  )

/** An artifact is compiled already. */
export function refuseCompileFlags(path: string, flags: CompileFlags): void {
  const given = compileFlagNames.find((name) => flags[name] !== undefined)
  if (given === undefined) return
  const shown = given.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  throw new UsageError(`--${shown} needs a model's .dsl file; ${path} is compiled already`)
}
