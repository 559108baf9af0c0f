// The values of an entry that its steps leave in memory, and the names of its kernels: both are numbered as they are made.

import type { Node } from '../graph/types.ts'
import type { Place } from './build.ts'
import type { ValueInfo } from './program.ts'
import { plainFormat } from './small-kernels.ts'

export class StepValues {
  readonly #entry: string
  readonly #values = new Map<string, ValueInfo>()
  #kernels = 0

  constructor(entry: string) {
    this.#entry = entry
  }

  get all(): ReadonlyMap<string, ValueInfo> {
    return this.#values
  }

  value(node: Pick<Node, 'type'>, format = plainFormat(node.type.dtype)): Place {
    return this.#named(`v${this.#values.size}`, node.type, format)
  }

  /** A value that each of some instances of an array leaves behind: as the body writes it, and by instance. */
  kept({ type }: Pick<Node, 'type'>, array: string, instances: readonly number[]): { body: Place; of: ReadonlyMap<number, Place> } {
    const [name, format] = [`v${this.#values.size}`, plainFormat(type.dtype)]
    return {
      body: this.#named(`${array}[*].${name}`, type, format),
      of: new Map(instances.map((i) => [i, this.#named(`${array}[${i}].${name}`, type, format)])),
    }
  }

  kernelName(hint: string): string {
    return `${this.#entry}_${this.#kernels++}_${hint}`
  }

  /** Gives what forgets all that is made from here on. */
  mark(): () => void {
    const [values, kernels] = [new Map(this.#values), this.#kernels]
    return () => {
      this.#values.clear()
      for (const [id, info] of values) this.#values.set(id, info)
      this.#kernels = kernels
    }
  }

  #named(id: string, { dims, dtype }: Node['type'], format: string): Place {
    this.#values.set(id, { id, dims, dtype, format })
    return { source: { kind: 'value', id }, dims, dtype, format }
  }
}
