// How the threads of a team meet, as functions of the module. Entries take, after the symbols, (own, thread, threads, arrived):
// the thread's own memory, its number, how many run the entry together, and how many arrivals were counted before. Every thread
// calls the entry, and meets the others where the plan has a barrier and once at the end.
//
// A barrier counts arrivals in one number that only grows. A thread that comes early spins for a while, then sleeps until the
// last one wakes it; the last one makes the call that wakes only if somebody sleeps. How long to spin is learnt: a wait that
// ended by sleeping quarters it, one that ended by spinning restores it, and every eighth wait spins for the full time to see
// whether the others are back; so on a machine with fewer free cores than threads nobody burns for long the time that the others
// need. The full time must exceed what it takes to wake a thread (50 µs in a virtual machine): else a thread that was woken
// comes late to the next barrier, where the other has fallen asleep by then, and so on for ever. A thread that fails
// says so in `failed`, and all others stop at their next look. The number of a barrier is the count of arrivals that
// completes it, modulo 2^32.

import binaryen from 'binaryen'
import type { AddressType } from './address-type.ts'
import type { Ref } from './expressions.ts'
import { control } from './program.ts'

/** Loads of a spin, about 1 ns each: a barrier's limits. One wait in `retry` is full. */
const spins = { most: 100_000, least: 64, retry: 8 } as const
/** A sleeper looks for failures this often; without any arrival in so many looks, a thread must be dead. */
const look = { nanoseconds: 5_000_000, most: 12_000 } as const

export const threadFunctions = {
  /** (due): arrives without waiting. */
  arrive: 'arrive',
  /** (due): arrives, and waits until the count of arrivals is `due`. Traps when a thread has failed. */
  meet: 'meet',
} as const

/** Names of exports for the runtime. */
export const threadExports = {
  /** (): writes the tables; once, before any call. */
  init: 'threads.init',
  /** (members): counts a call for the threads 0 … members - 1, and wakes idle threads. */
  call: 'threads.call',
  /** (seen, spins) → what `call` left, once it is not `seen`: the members in the lowest eight bits, the count of calls above. An idle thread waits in it. */
  idle: 'threads.idle',
  /** (thread): that thread has failed; all others stop. */
  fail: 'threads.fail',
  /** () → number of the failed thread + 1, or 0. */
  failed: 'threads.failed',
  /** () → count of arrivals. */
  arrived: 'threads.arrived',
  /** () → how often a thread fell asleep while it waited for others in a call. */
  slept: 'threads.slept',
} as const

const i32 = binaryen.i32
/** Of each thread's instance: how long the next wait spins, and how many waits there were. */
const [spinGlobal, waitGlobal] = ['spins', 'waits']

/** Adds the functions and exports. Tables are passive segments with the names `data`. */
export function addThreadFunctions(
  m: binaryen.Module,
  data: readonly { readonly name: string; readonly address: number; readonly bytes: number }[],
  addresses: AddressType,
): void {
  const at = (place: number): Ref => addresses.const(place)
  const atomic = m.i32.atomic
  const get = (index: number): Ref => m.local.get(index, i32)
  const read = (place: number): Ref => atomic.load(0, at(place))
  const notify = (place: number): Ref => m.drop(m.memory.atomic.notify(at(place), m.i32.const(-1)))
  const count = (place: number, by: 1 | -1): Ref => m.drop(atomic.rmw.add(0, at(place), m.i32.const(by)))
  const nanoseconds = (ns: number): Ref => m.i64.const(BigInt(ns))
  const add = (name: string, params: number, result: binaryen.Type, locals: readonly binaryen.Type[], body: Ref[]): void => {
    m.addFunction(name, binaryen.createType(Array.from({ length: params }, () => i32)), result, [...locals], m.block(null, body, result))
  }
  const spun = (): Ref => m.global.get(spinGlobal, i32)

  m.addGlobal(spinGlobal, i32, true, m.i32.const(spins.most))
  m.addGlobal(waitGlobal, i32, true, m.i32.const(0))

  // Local 1: the count after this arrival.
  const arrive = (): Ref[] => [
    m.local.set(1, m.i32.add(atomic.rmw.add(0, at(control.arrived), m.i32.const(1)), m.i32.const(1))),
    m.if(m.i32.and(m.i32.eq(get(1), get(0)), m.i32.ne(read(control.sleeping), m.i32.const(0))), notify(control.arrived)),
  ]
  add(threadFunctions.arrive, 1, binaryen.none, [i32], arrive())

  /** Whether the arrivals in this local are enough. */
  const complete = (local: number): Ref => m.i32.ge_s(m.i32.sub(get(local), get(0)), m.i32.const(0))
  // Locals: 0 due, 1 arrivals, 2 spins left or looks left, 3 arrivals at the last look.
  add(
    threadFunctions.meet,
    1,
    binaryen.none,
    [i32, i32, i32],
    [
      ...arrive(),
      m.if(complete(1), m.return()),
      m.global.set(waitGlobal, m.i32.add(m.global.get(waitGlobal, i32), m.i32.const(1))),
      m.local.set(2, m.select(m.i32.rem_u(m.global.get(waitGlobal, i32), m.i32.const(spins.retry)), spun(), m.i32.const(spins.most))),
      m.loop(
        'spin',
        m.block(null, [
          m.local.set(1, read(control.arrived)),
          m.if(complete(1), m.block(null, [m.global.set(spinGlobal, m.i32.const(spins.most)), m.return()])),
          m.local.set(2, m.i32.sub(get(2), m.i32.const(1))),
          m.br('spin', get(2)),
        ]),
      ),
      m.global.set(spinGlobal, m.i32.shr_u(spun(), m.i32.const(2))),
      m.if(m.i32.lt_s(spun(), m.i32.const(spins.least)), m.global.set(spinGlobal, m.i32.const(spins.least))),
      count(control.sleeping, 1),
      count(control.slept, 1),
      m.local.set(2, m.i32.const(look.most)),
      m.local.set(3, get(1)),
      m.block('awake', [
        m.loop(
          'sleep',
          m.block(null, [
            m.local.set(1, read(control.arrived)),
            m.br('awake', complete(1)),
            m.if(read(control.failed), m.unreachable()),
            m.if(m.i32.ne(get(1), get(3)), m.block(null, [m.local.set(3, get(1)), m.local.set(2, m.i32.const(look.most))])),
            m.if(
              m.i32.eq(m.memory.atomic.wait32(at(control.arrived), get(1), nanoseconds(look.nanoseconds)), m.i32.const(2)),
              m.block(null, [m.local.set(2, m.i32.sub(get(2), m.i32.const(1))), m.if(m.i32.eqz(get(2)), m.unreachable())]),
            ),
            m.br('sleep'),
          ]),
        ),
      ]),
      count(control.sleeping, -1),
    ],
  )

  // One word says which call it is and for whom: a thread that has no part in it never looks at the mailbox.
  const nextCall = m.i32.add(m.i32.and(read(control.calls), m.i32.const(~255)), m.i32.const(256))
  add(
    threadExports.call,
    1,
    binaryen.none,
    [],
    [atomic.store(0, at(control.calls), m.i32.or(nextCall, get(0))), m.if(read(control.idle), notify(control.calls))],
  )
  // Locals: 0 seen, 1 spins left, 2 calls.
  const changed = (): Ref => m.i32.ne(get(2), get(0))
  add(
    threadExports.idle,
    2,
    i32,
    [i32],
    [
      m.loop(
        'spin',
        m.block(null, [
          m.local.set(2, read(control.calls)),
          m.if(changed(), m.return(get(2))),
          m.local.set(1, m.i32.sub(get(1), m.i32.const(1))),
          m.br('spin', get(1)),
        ]),
      ),
      count(control.idle, 1),
      m.block('awake', [
        m.loop(
          'sleep',
          m.block(null, [
            m.local.set(2, read(control.calls)),
            m.br('awake', changed()),
            m.drop(m.memory.atomic.wait32(at(control.calls), get(0), nanoseconds(-1))),
            m.br('sleep'),
          ]),
        ),
      ]),
      count(control.idle, -1),
      get(2),
    ],
  )
  add(
    threadExports.fail,
    1,
    binaryen.none,
    [],
    [atomic.store(0, at(control.failed), m.i32.add(get(0), m.i32.const(1))), notify(control.arrived)],
  )
  add(threadExports.failed, 0, i32, [], [read(control.failed)])
  add(threadExports.arrived, 0, i32, [], [read(control.arrived)])
  add(threadExports.slept, 0, i32, [], [read(control.slept)])
  add(
    threadExports.init,
    0,
    binaryen.none,
    [],
    data.flatMap(({ name, address, bytes }) => [m.memory.init(name, at(address), m.i32.const(0), m.i32.const(bytes)), m.data.drop(name)]),
  )
  for (const name of Object.values(threadExports)) m.addFunctionExport(name, name)
}
