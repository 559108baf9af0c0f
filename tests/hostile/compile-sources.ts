// A process of its own in which hostile sources are compiled, as far as each gets: it prints one JSON line a case. A hang, a crash
// or memory beyond --max-old-space-size shows in the parent as the line that is missing.

import { compile } from '../../compiler/index.ts'
import { render } from '../../dsl/render.ts'
import type { Checkpoint } from '../../compiler/weights/index.ts'
import { sources } from './sources.ts'

/** Its table is what is tested. */
const empty: Checkpoint = { container: 'safetensors', table: { format: 'hf' }, tensors: new Map() }

for (const [name, [, text]] of Object.entries(sources)) {
  const source = text()
  const started = performance.now()
  const read = (path: string): string | undefined => (path === 'main.dsl' ? source : undefined)
  const withTable = source.includes('checkpoint hf') ? { checkpoint: empty } : {}
  const result = await compile(read, { entry: 'main.dsl', maximum: { seq: 8 }, ...withTable }).catch((error: unknown) => ({
    thrown: String(error),
  }))
  const milliseconds = performance.now() - started
  if ('thrown' in result) {
    process.stdout.write(`${JSON.stringify({ name, thrown: result.thrown, codes: [], milliseconds, longest: 0 })}\n`)
    continue
  }
  const texts = result.diagnostics.map((diagnostic) => render(diagnostic))
  process.stdout.write(
    `${JSON.stringify({
      name,
      ok: result.ok,
      codes: [...new Set(result.diagnostics.filter(({ severity }) => severity === 'error').map(({ code }) => code))],
      milliseconds,
      longest: Math.max(0, ...texts.map(({ length }) => length)),
    })}\n`,
  )
}
