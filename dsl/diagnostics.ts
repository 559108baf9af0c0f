// Messages to the author of a model. Every code is one row of the table; a diagnostic is a code with its holes filled,
// the user's own places, notes and one fix. Rendering is in render.ts.

import type { Span } from './source.ts'

export type Severity = 'error' | 'warning' | 'note'

export interface Label {
  readonly span: Span
  /** What stands there: `real[seq, heads]`. The first label is the place of the message. */
  readonly text?: string
}

export interface Diagnostic {
  readonly code: string
  readonly severity: Severity
  readonly message: string
  readonly labels: readonly Label[]
  readonly notes: readonly string[]
  /** One concrete fix, in words or as the line to write. */
  readonly help?: string
}
