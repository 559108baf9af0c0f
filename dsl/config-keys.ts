// What a checkpoint's config says beyond the numbers that fields read. A config of another kind of model is refused as a whole
// (L512); each key that changes what published variants compute must be read by a field, pinned by `expect`, or hold its neutral
// value (L505): a silently wrong model is the worst outcome.

import { evaluate } from './check/expressions.ts'
import { configFrame, type Home } from './check/instances.ts'
import type { Report } from './check/report.ts'
import { keysOf, plain, readKey } from './config.ts'
import { identities, meaningfulKeys } from './meaningful-keys.ts'
import type { ConfigValue, Numbers } from './model.ts'
import type { FlatRule, FlatTable } from './resolve/tables.ts'
import type { Span } from './source.ts'

type Given = NonNullable<Numbers['config']>

interface Pin {
  readonly rule: Extract<FlatRule['tree'], { kind: 'expect' }>
  readonly wanted: ConfigValue
}

const archOf = (given: Given): string => String(given.values['general.architecture'] ?? '')

/** The last `expect` of each key. */
function pinsOf(home: Home, table: FlatTable, given: Given): Map<string, Pin> {
  const pins = new Map<string, Pin>()
  for (const { tree, module } of table.rules) {
    if (tree.kind !== 'expect') continue
    const wanted = plain(evaluate(tree.value, configFrame(home, module)))
    pins.set(tree.key.replaceAll('{arch}', archOf(given)), { rule: tree, wanted })
  }
  return pins
}

/** What a pin says against the config: the value found. undefined when it holds. */
function found(pin: Pin, key: string, given: Given): { readonly value: unknown } | undefined {
  const value = readKey(given.values, key)
  return value === undefined || value === null || matches(value, pin.wanted) ? undefined : { value }
}

/** Whether a config tells what kind of model it is of. */
export const saysWhose = ({ values }: Given): boolean => identities.some((key) => readKey(values, key) != null)

/** Reports (L512) a config that says it is another model's. `name` is the model's own. */
export function checkIdentity(home: Home, table: FlatTable | undefined, given: Numbers['config'], name: string, report: Report): boolean {
  if (!given || !table) return true
  for (const [key, pin] of pinsOf(home, table, given)) {
    const other = identities.includes(key) ? found(pin, key, given) : undefined
    if (!other) continue
    const wanted = [pin.wanted].flat().map((one) => `"${String(one)}"`)
    report.add(
      'L512',
      `${given.file} says \`${key}: ${shown(other.value)}\`, but ${name} is for ${wanted.join(' or ')}`,
      [{ span: pin.rule.span }],
      { help: `write a model that says what differs, and  expect "${key}" = ${shown(other.value)}` },
    )
    return false
  }
  return true
}

/** Reports (L505) every key whose value the model ignores. `place` is the model's name. */
export function checkConfigKeys(home: Home, table: FlatTable | undefined, given: Numbers['config'], place: Span, report: Report): void {
  if (!given || given.kind === 'fields' || !table) return
  const arch = archOf(given)
  const { read, passedOver } = keysRead(home, given)
  const at = (keys: readonly string[], key: string): boolean => keys.some((one) => one === key || one.startsWith(`${key}.`))
  const reads = (key: string): boolean => at(read, key) && !at(passedOver, key)
  const pins = pinsOf(home, table, given)
  for (const [key, pin] of pins) {
    const other = reads(key) ? undefined : found(pin, key, given)
    if (other) ignored(key, other.value, [{ span: pin.rule.span, text: `expected ${JSON.stringify(pin.wanted)}` }])
  }
  for (const [pattern, neutral] of meaningfulKeys[given.kind]) {
    const key = pattern.replaceAll('{arch}', arch)
    // A pin or field above the key (`rope_scaling` for `rope_scaling.factor`) has judged it already.
    if (reads(key) || [...pins.keys()].some((pin) => pin === key || key.startsWith(`${pin}.`))) continue
    const value = readKey(given.values, key)
    if (value === undefined || value === null || neutral(value, given.values)) continue
    ignored(key, value, [{ span: place }])
  }

  function ignored(key: string, value: unknown, places: { span: Span; text?: string }[]): void {
    report.add('L505', `${given?.file} says \`${key}: ${shown(value)}\`, which this model ignores`, places, {
      help: `read it with  @${given?.kind}("${key}")  or write  expect "${key}" = ${shown(value)}`,
      about: key,
    })
  }
}

/** Of keys with alternatives the first that is there is read; another one may only say the same. */
function keysRead(home: Home, given: Given): { readonly read: string[]; readonly passedOver: string[] } {
  const [read, passedOver]: [string[], string[]] = [[], []]
  for (const field of home.config?.fields.values() ?? []) {
    const there = keysOf(field, given).filter((key) => readKey(given.values, key) != null)
    const value = there[0] === undefined ? undefined : shown(readKey(given.values, there[0]))
    for (const key of there) (shown(readKey(given.values, key)) === value ? read : passedOver).push(key)
  }
  return { read, passedOver }
}

const shown = (value: unknown): string => JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? Number(v) : v))

function matches(value: unknown, wanted: ConfigValue): boolean {
  const number = typeof value === 'bigint' ? Number(value) : value
  if (JSON.stringify(number) === JSON.stringify(wanted)) return true
  return Array.isArray(wanted) && wanted.some((one) => matches(value, one))
}
