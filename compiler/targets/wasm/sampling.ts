// The sampler of a module (compiler/sampler/lanes.ts), as the runtime calls it: addresses are i32, and where there are threads each weighs a
// run of the blocks. Plain arithmetic in every form of a module, so that draws are the runtime's own, bit for bit.

import binaryen from 'binaryen'
import { blockIds, wasmSampler, weighSymbols } from '../../../runtime/artifact/wasm-sampler.ts'
import { collectLanes, weighLanes } from '../../sampler/lanes.ts'
import type { AddressType } from './address-type.ts'
import { emitKernel } from './emit.ts'
import type { Ref } from './expressions.ts'
import { addFirstMaximum } from './first-maximum.ts'
import { threadFunctions } from './threads.ts'

const { i32 } = binaryen

export function addSampler(m: binaryen.Module, shared: boolean, addresses: AddressType): void {
  const [weigh, collect] = [weighLanes(), collectLanes()]
  for (const fn of [weigh, collect]) emitKernel(m, fn, { relaxed: false, wide: addresses.wide })
  const get = (local: number): Ref => m.local.get(local, i32)
  const address = (local: number): Ref => (addresses.wide ? m.i64.extend_u(get(local)) : get(local))
  const inScratch = (offset: number): Ref => addresses.add(addresses.passed(get(0)), addresses.distance(get(offset), 0))
  const add = (name: string, params: number, body: Ref): void => {
    m.addFunction(name, binaryen.createType(new Array<binaryen.Type>(params).fill(i32)), binaryen.none, [], body)
    m.addFunctionExport(name, name)
  }
  addFirstMaximum(m, addresses)
  add(wasmSampler.collect, 6, m.call(collect.name, [address(1), inScratch(2), inScratch(3), get(4), get(5)], binaryen.none))

  const [scores, maxima, count, top, rate] = [1, 2, 3, 4, 5] as const
  const own = 1 + weighSymbols
  const [thread, threads, arrived] = [own + 1, own + 2, own + 3]
  const blocks = (): Ref => m.i32.div_u(m.i32.add(get(count), m.i32.const(blockIds - 1)), m.i32.const(blockIds))
  // Thread t of n takes blocks [all·t/n, all·(t+1)/n).
  const cut = (part: Ref): Ref => m.i32.div_u(m.i32.mul(blocks(), part), get(threads))
  const run = (from: Ref, to: Ref): Ref =>
    m.call(
      weigh.name,
      [address(scores), addresses.passed(get(0)), inScratch(maxima), from, to, get(count), get(top), get(rate)],
      binaryen.none,
    )
  if (!shared) return add(wasmSampler.weigh, own, run(m.i32.const(0), blocks()))
  // As at the end of an entry: thread 0 returns when all are done.
  const due = (): Ref => m.i32.add(get(arrived), get(threads))
  const end = m.if(
    get(thread),
    m.call(threadFunctions.arrive, [due()], binaryen.none),
    m.call(threadFunctions.meet, [due()], binaryen.none),
  )
  add(wasmSampler.weigh, own + 4, m.block(null, [run(cut(get(thread)), cut(m.i32.add(get(thread), m.i32.const(1)))), end]))
}
