// The reference as a device of the runtime: slow, exact, and able to run every model. A session's states are a map of f64
// arrays that is replaced as a whole by each run, so a copy of a session costs nothing.

import type { Device, ResultArray, States } from '../../../runtime/devices/device.ts'
import type { Graph } from '../../graph/types.ts'
import { isFloat } from '../../ops/op.ts'
import { createReference, type ReferenceOptions, type StateValues, type Tensor } from './evaluate.ts'

class ReferenceStates implements States {
  values: StateValues | undefined

  constructor(values: StateValues) {
    this.values = values
  }

  dispose(): void {
    this.values = undefined
  }
}

function own(states: States): ReferenceStates & { values: StateValues } {
  if (states instanceof ReferenceStates && states.values) return states as ReferenceStates & { values: StateValues }
  throw new Error('internal: reference device: these states are disposed or belong to another device')
}

// Floats stay f64, so that tests see what the reference computed; integers and truth values stay integers.
const toResult = ({ dtype, data }: Tensor): ResultArray =>
  isFloat(dtype) ? data.slice() : dtype === 'u32' ? Uint32Array.from(data) : Int32Array.from(data)

/** A device that evaluates `graphs` (one per entry, optimised or not). */
export function createReferenceDevice(graphs: Iterable<Graph>, options: ReferenceOptions): Device {
  const reference = createReference(graphs, options)
  return {
    name: 'reference',
    createStates: () => new ReferenceStates(new Map()),
    copyStates: (from) => new ReferenceStates(own(from).values),
    async run(entry, symbols, inputs, states) {
      const session = own(states)
      const { results, states: next } = reference.run(entry, symbols, inputs, session.values)
      session.values = next
      return results.map(toResult)
    },
    dispose() {},
  }
}
