// What an artifact says of a model's entries.

import type { EntryInfo } from '../../dsl/model.ts'
import type { EntryManifest } from '../../runtime/artifact/manifest.ts'

const roles: ReadonlySet<string> = new Set(['prefill', 'decode', 'score', 'encode'])

/** Arguments, results and bounds of an entry, and its role, which its name is; `config`: the model's numbers, whose `vocab` bounds ids. */
export function describeEntry(entry: EntryInfo, config: Readonly<Record<string, unknown>>): EntryManifest {
  const vocab = config['vocab']
  return {
    name: entry.name,
    ...(entry.doc === undefined ? {} : { doc: entry.doc }),
    arguments: entry.arguments.map((argument) =>
      argument.kind === 'index'
        ? argument
        : {
            kind: 'tensor',
            name: argument.name,
            dtype: argument.type.dtype,
            dims: argument.type.dims,
            labels: argument.labels,
            // Token ids are checked once here; kernels clamp other indices.
            ...(argument.type.dtype === 'i32' && typeof vocab === 'number' && /^(tokens|target|source)$/.test(argument.name)
              ? { below: vocab }
              : {}),
          },
    ),
    symbols: entry.symbols,
    limits: entry.limits,
    results: entry.results.map(({ name, type, labels }) => ({
      ...(name === undefined ? {} : { name }),
      dtype: type.dtype,
      dims: type.dims,
      labels,
    })),
    ...(roles.has(entry.name) ? { role: entry.name as NonNullable<EntryManifest['role']> } : {}),
  }
}
