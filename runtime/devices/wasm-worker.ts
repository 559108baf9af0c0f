// One worker of a team (wasm-team.ts), the same module in Node and in browsers. It is told its place once; then it lives in a
// loop: wait inside the module until a call is counted, run the entry that the mailbox names, wait again. Messages cannot reach
// it any more, which is why everything goes through the shared memory.
import {
  fillArguments,
  idleSpins,
  mailbox,
  membersOf,
  type Membership,
  stop,
  type TeamExports,
  type ThreadedProgram,
} from './wasm-mailbox.ts'
import { workerPort } from './worker-port.ts'

const port = workerPort()

function serve({ module, memory, thread, own, mailbox: at, entries, report }: Membership): void {
  const instance = new WebAssembly.Instance(module, { env: { memory } })
  const exports = instance.exports as unknown as TeamExports
  const words = new Int32Array(memory.buffer, at, mailbox.words)
  const programs = entries.map((entry) => ({
    program: instance.exports[entry.export] as ThreadedProgram,
    symbols: words.subarray(mailbox.symbols, mailbox.symbols + entry.symbols),
    args: new Array<number>(entry.symbols + 5).fill(0),
  }))
  let seen = 0
  let spins: number = idleSpins.member
  port.post('ready')
  for (;;) {
    seen = exports['threads.idle'](seen, spins)
    const members = membersOf(seen)
    spins = thread < members ? idleSpins.member : idleSpins.roused
    if (thread >= members) continue
    const entry = words[mailbox.entry]!
    if (entry === stop) return
    const { program, symbols, args } = programs[entry]!
    fillArguments(args, words[mailbox.statesBase]!, symbols, own, thread, members, words[mailbox.arrived]!)
    try {
      program.apply(undefined, args)
    } catch (cause) {
      // The first to fail says why; the others stopped because of it.
      if (exports['threads.failed']() === 0) {
        const room = new Uint8Array(memory.buffer, at + mailbox.text * 4, (mailbox.words - mailbox.text) * 4)
        room.fill(0)
        room.set(new TextEncoder().encode(String((cause as Error).message)).subarray(0, room.length - 1))
        exports['threads.fail'](thread)
      }
      port.post(`thread ${thread}: ${(cause as Error).message}`)
      return
    }
    if (report) port.post('done')
  }
}

port.first().then((membership) => {
  try {
    serve(membership as Membership)
  } catch (cause) {
    port.post(String((cause as Error).message))
  }
})
