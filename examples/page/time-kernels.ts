// How long each kernel takes for one token in the middle of a context. On WebAssembly the kernels are called one by one, as
// `llamac bench --kernels` does it; on WebGPU every dispatch gets a pass of its own with two timestamps.

import { timeKernels as timeWasmKernels } from '../../cli/measure/kernel-times.ts'
import { openWasmProbe } from '../../cli/verify/probe-wasm.ts'
import type { TargetResult } from '../../compiler/compile.ts'
import { recompile } from '../../compiler/recompile.ts'
import { type Artifact, load, LlamacError } from '../../runtime/index.ts'
import { findRoles, type ReadingEntry } from '../../runtime/roles.ts'
import { TimedGpu } from './timed-gpu.ts'
import type { DeviceChoice, KernelRow } from './protocol.ts'

export interface KernelTimes {
  readonly rows: readonly KernelRow[]
  readonly note: string
}

/** `result`: the kernels behind the artifact's program, where they are at hand. E_NO_SOURCE, E_ENTRY, those of loading. */
export async function timeKernels(artifact: Artifact, device: DeviceChoice, result: TargetResult | undefined): Promise<KernelTimes> {
  const { prefill, decode = prefill } = findRoles(artifact.manifest)
  if (!decode) throw new LlamacError('E_ENTRY', `${artifact.manifest.model} has no entry that reads one token after another`)
  const start = Math.min(256, (decode.entry.symbols.find(({ name }) => name === 'start')?.max ?? 0) >> 1)
  return device === 'wasm' ? onWasm(artifact, decode, start, result) : onWebgpu(artifact, decode, start)
}

async function onWasm(artifact: Artifact, decode: ReadingEntry, start: number, known: TargetResult | undefined): Promise<KernelTimes> {
  const { plan } = known ?? (await recompile(artifact, 'wasm')).result
  const probe = await openWasmProbe(artifact, plan!, 'alone')
  const symbols = { ...(decode.size === undefined ? {} : { [decode.size]: 1 }), ...(decode.positioned ? { start } : {}) }
  return {
    rows: timeWasmKernels(probe, plan!, decode.entry.name, symbols),
    note: `one token at position ${start}, one thread, over many calls`,
  }
}

/** Calls that are not counted, and those of which the shortest times are taken. */
const [warmUp, counted] = [2, 5]

async function onWebgpu(artifact: Artifact, decode: ReadingEntry, start: number): Promise<KernelTimes> {
  const adapter = await navigator.gpu?.requestAdapter()
  if (!adapter?.features.has('timestamp-query')) return { rows: [], note: 'this WebGPU adapter does not tell time (timestamp-query)' }
  const gpu = new TimedGpu(await adapter.requestDevice({ requiredFeatures: ['timestamp-query'] }))
  try {
    await using model = await load(artifact, { device: 'webgpu', gpu: gpu.device })
    using session = model.createSession()
    const rows = new Map<string, KernelRow>()
    for (let call = -warmUp; call < counted; call++) {
      await session.call(decode.entry.name, { [decode.tokens]: [1], ...(decode.positioned ? { start: start + Math.max(0, call) } : {}) })
      for (const row of await gpu.take()) {
        const best = Math.min(row.milliseconds, rows.get(row.kernel)?.milliseconds ?? Infinity)
        if (call >= 0) rows.set(row.kernel, { ...row, milliseconds: best })
      }
    }
    return {
      rows: [...rows.values()].sort((a, b) => b.milliseconds - a.milliseconds),
      note: `one token at position ${start}, a pass for each dispatch, the best of ${counted} calls; browsers may round timestamps`,
    }
  } finally {
    gpu.destroy()
  }
}
