// Runs in Deno, whose WebGPU is wgpu with naga: does on its GPU what the other process asks for (gpu.ts). Object 0 is navigator.gpu.
// Answers go out in the order in which calls end; whatever goes wrong in a call that nobody waits for is a fault.

import process from 'node:process'
import { encodeFrame, readFrames, type Reference } from './frames.ts'

export interface GpuCall {
  /** Of the object that it gives. */
  readonly id: number
  readonly on: object
  readonly method: string
  readonly args: readonly unknown[]
  readonly awaited: boolean
}

export type GpuAnswer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string }
  | { readonly fault: string }
  | { readonly device: number; readonly lost: GPUDeviceLostInfo }
  | { readonly device: number; readonly uncaptured: string }

const objects = new Map<number, object>([[0, navigator.gpu]])
const tell = (answer: GpuAnswer): void => void process.stdout.write(encodeFrame(answer))

function objectOf({ $object, property }: Reference): unknown {
  const object = objects.get($object)
  if (!object) throw new Error(`there is no object ${$object}`)
  return property === undefined ? object : object[property as keyof object]
}

const numbersOf = (limits: GPUSupportedLimits): Record<string, number> => {
  const names = Object.keys(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(limits)))
  return Object.fromEntries(
    names.flatMap((name) => (typeof limits[name as 'maxBufferSize'] === 'number' ? [[name, limits[name as 'maxBufferSize']]] : [])),
  )
}

/** What the other side is told of a result besides its number. */
function describe(value: unknown, id: number): unknown {
  if (value instanceof GPUAdapter) {
    const { description, vendor, architecture, device } = value.info
    return { info: { description, vendor, architecture, device }, features: value.features, limits: numbersOf(value.limits) }
  }
  if (value instanceof GPUDevice) {
    value.lost.then(({ reason, message }) => tell({ device: id, lost: { reason, message } as GPUDeviceLostInfo }))
    value.addEventListener('uncapturederror', (event) => tell({ device: id, uncaptured: (event as GPUUncapturedErrorEvent).error.message }))
    return { features: value.features, limits: numbersOf(value.limits) }
  }
  if (value instanceof GPUError) return { message: value.message }
  if (value instanceof GPUCompilationInfo)
    return { messages: value.messages.map(({ type, lineNum, message }) => ({ type, lineNum, message })) }
  return value instanceof GPUComputePipeline ? {} : value
}

async function answer({ id, on, method, args }: GpuCall): Promise<void> {
  try {
    const target = on as Record<string, (...args: readonly unknown[]) => Promise<unknown>>
    const value = await target[method]!(...args)
    if (typeof value === 'object' && value !== null) objects.set(id, value)
    // What was mapped is sent at once: the other side has no view of this memory.
    const mapped = method === 'mapAsync' ? (on as GPUBuffer).getMappedRange(...(args.slice(1) as [number?, number?])) : undefined
    tell({ id, value: mapped ?? describe(value, id) })
  } catch (error) {
    tell({ id, error: (error as Error).message })
  }
}

function perform(call: GpuCall): void {
  if (call.awaited) return void answer(call)
  try {
    const target = call.on as Record<string, (...args: readonly unknown[]) => unknown>
    const value = target[call.method]!(...call.args)
    if (typeof value === 'object' && value !== null) objects.set(call.id, value)
    if (call.method === 'destroy' || call.method === 'finish') {
      // Nothing can be asked of it any more.
      for (const [id, object] of objects) if (object === call.on) objects.delete(id)
    }
  } catch (error) {
    tell({ fault: `${call.method}: ${(error as Error).message}` })
  }
}

readFrames(process.stdin, (message) => perform(message as GpuCall), objectOf)
process.stdin.on('end', () => process.exit(0))
