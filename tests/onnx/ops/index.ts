// The table: how each op of ONNX is said with llamac's primitives.

import { attentions } from './attention.ts'
import { pointwise } from './pointwise.ts'
import { quantisation } from './quantisation.ts'
import type { Rows } from './row.ts'
import { selections } from './selections.ts'
import { shapes } from './shapes.ts'
import { sums } from './sums.ts'

export const rows: Rows = { ...pointwise, ...shapes, ...sums, ...attentions, ...selections, ...quantisation }
