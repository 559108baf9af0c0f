// The modules of a program. Dispatches whose texts differ in nothing but where operands start share one: words that are not the same for
// all of them lie in a uniform, a row for each dispatch (a load of a word that all invocations share costs nothing that a
// pipeline more would not); what is the same stays in the text.

import type { WebgpuProgram } from '../../../runtime/artifact/manifest.ts'
import { type BoundRange, guaranteed } from './bindings.ts'
import type { PlannedDispatch } from './dispatch.ts'

type Dispatch = WebgpuProgram['entries'][string]['dispatches'][number]
type Buffer = WebgpuProgram['buffers'][number]

interface Shape {
  readonly name: string
  readonly planned: PlannedDispatch
  /** Of each operand that may be moved, the first words that dispatches want. */
  readonly wanted: ReadonlyMap<number, Set<number>>
}

interface Request {
  readonly shape: Shape
  readonly places: ReadonlyMap<number, number>
  readonly bindings: readonly BoundRange[]
  readonly workgroups: Dispatch['workgroups']
}

export class ModulePool {
  readonly #shapes = new Map<string, Shape>()
  readonly #known = new WeakMap<PlannedDispatch, Shape>()
  readonly #rows = new Map<string, { readonly number: number; readonly row: readonly number[] }>()
  readonly #numbers = new Map<Shape, number>()
  readonly modules: WebgpuProgram['modules'][number][] = []

  /** Notes a dispatch; `planned` may be that of another one which binds alike, with other places and ranges. */
  request(name: string, planned: PlannedDispatch, { bindings, places }: Pick<PlannedDispatch, 'bindings' | 'places'> = planned): Request {
    const shape = this.#known.get(planned) ?? this.#shapeOf(name, planned)
    for (const [operand, word] of places) shape.wanted.get(operand)!.add(word)
    return { shape, places, bindings, workgroups: planned.workgroups }
  }

  #shapeOf(name: string, planned: PlannedDispatch): Shape {
    const text = JSON.stringify(planned.moved(new Set(planned.places.keys())))
    const shape = this.#shapes.get(text) ?? {
      name,
      planned,
      wanted: new Map([...planned.places.keys()].map((operand) => [operand, new Set()])),
    }
    this.#shapes.set(text, shape)
    this.#known.set(planned, shape)
    return shape
  }

  /** The dispatch, once all were requested. `buffer` is the number of the one that `buffers` makes. */
  dispatch({ shape, places, bindings, workgroups }: Request, buffer: number): Dispatch {
    const moved = [...shape.wanted].flatMap(([operand, words]) => (words.size > 1 ? [operand] : []))
    let module = this.#numbers.get(shape)
    if (module === undefined) {
      module = this.modules.push({ name: shape.name, ...shape.planned.moved(new Set(moved)) }) - 1
      this.#numbers.set(shape, module)
    }
    if (moved.length === 0) return { module, bindings, workgroups }
    const row = moved.map((operand) => places.get(operand)!)
    const key = row.join()
    const known = this.#rows.get(key) ?? { number: this.#rows.size, row }
    this.#rows.set(key, known)
    const offset = known.number * guaranteed.offset
    return { module, bindings: [...bindings, { buffer, offset, bytes: Math.ceil(row.length / 4) * 16 }], workgroups }
  }

  /** The uniform of places, if any dispatch takes its own from there. */
  buffer(): Buffer[] {
    const rows = [...this.#rows.values()].map(({ row }) => row)
    return rows.length > 0 ? [{ kind: 'places', bytes: rows.length * guaranteed.offset, rows }] : []
  }
}
