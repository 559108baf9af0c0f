// WebGPU in Node: npm `webgpu` (Dawn) on a real adapter, or on SwiftShader when there is none or when software is asked for;
// LLAMAC_WEBGPU_ADAPTER names another one, for machines with several and for tests on another driver.
// The Vulkan loader is brought in by absolute path before Dawn asks for it by name: LD_LIBRARY_PATH is read once, when a process
// starts, so setting it here would be too late. Also installs the WebGPU constants (GPUBufferUsage …) as globals.

import { join } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { LlamacError } from '../runtime/error.ts'
import { driverFolder } from './software-driver.ts'

type Dawn = typeof import('webgpu')

const adapterVariable = 'LLAMAC_WEBGPU_ADAPTER'

/** RTLD_LAZY | RTLD_NODELETE: the library stays when process.dlopen closes it again because it is no Node addon. */
const lazyAndKept = 0x1001

/** SwiftShader zeroes workgroup memory word by word in straight-line code (seconds to compile); Dawn's own way is a loop. */
const loopedZeroing = 'disable-dawn-features=use_vulkan_zero_initialize_workgroup_memory_extension'

// Dawn objects must outlive everything made from them; a collected GPU takes its devices along.
const kept: GPU[] = []

const loadDawn = async (): Promise<Dawn> => {
  let dawn: Dawn
  try {
    dawn = (await import('webgpu')) as Dawn
  } catch (cause) {
    const why = cause instanceof Error ? `: ${cause.message.split('\n')[0]}` : ''
    throw new LlamacError('E_NO_WEBGPU', `WebGPU in Node needs the package webgpu (npm install webgpu), which did not load${why}`, {
      cause,
    })
  }
  for (const [name, value] of Object.entries(dawn.globals)) {
    if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, writable: true, configurable: true })
  }
  return dawn
}

/** True when the shared library is now part of the process, under its own name. */
const preload = (library: string): boolean => {
  try {
    process.dlopen({ exports: {} }, library, lazyAndKept)
    return true
  } catch (error) {
    // It is no Node addon, so this throws in any case; only a loader message says that it could not be opened.
    return error instanceof Error && error.message.includes('did not self-register')
  }
}

const create = (dawn: Dawn, flags: string[]): GPU => {
  const gpu = dawn.create(flags)
  kept.push(gpu)
  return gpu
}

let spared = false

/**
 * While anything is awaited Dawn looks for news in every turn of the event loop (setImmediate), which takes a whole core: from a software
 * driver, which computes on the same ones. Its looks, native functions without a name, come a millisecond apart instead.
 */
const spareCore = (): void => {
  if (spared) return
  spared = true
  const soon = globalThis.setImmediate
  const isDawns = (callback: (...args: never[]) => void): boolean =>
    callback.name === '' && Function.prototype.toString.call(callback).includes('[native code]')
  const calmer = (callback: (...args: unknown[]) => void, ...args: unknown[]): unknown =>
    isDawns(callback) ? setTimeout(callback, 1, ...args) : soon(callback, ...args)
  globalThis.setImmediate = Object.defineProperties(calmer, Object.getOwnPropertyDescriptors(soon)) as typeof setImmediate
}

const softwareGpu = async (dawn: Dawn): Promise<GPU> => {
  const folder = await driverFolder('swiftshader')
  if (!isMainThread)
    throw new LlamacError('E_NO_WEBGPU', 'the software GPU must be made in the main thread (a worker cannot set the environment)')
  process.env['VK_ICD_FILENAMES'] = join(folder, 'vk_swiftshader_icd.json')
  if (!preload(join(folder, 'libvulkan.so.1'))) throw new LlamacError('E_NO_WEBGPU', 'the software GPU driver could not be loaded')
  spareCore()
  const gpu = create(dawn, ['adapter=SwiftShader', loopedZeroing])
  const adapter = await gpu.requestAdapter()
  const found = adapter === null ? 'none' : `'${adapter.info.description}'`
  if (!found.includes('SwiftShader')) throw new LlamacError('E_NO_WEBGPU', `expected the SwiftShader adapter, found ${found}`)
  return gpu
}

/** The first adapter whose name contains `name`, of any driver that the system knows. */
const namedGpu = async (dawn: Dawn, name: string): Promise<GPU> => {
  if (process.platform === 'linux') preload('libvulkan.so.1')
  const gpu = create(dawn, [`adapter=${name}`])
  try {
    if ((await gpu.requestAdapter()) !== null) return gpu
  } catch (cause) {
    const known = [...String(cause).matchAll(/name: '(.*)'/g)].map(([, each]) => each)
    const there = known.length > 0 ? `there are: ${known.join('; ')}` : 'there is none at all'
    throw new LlamacError('E_NO_WEBGPU', `no adapter's name contains '${name}', which ${adapterVariable} asks for; ${there}`, { cause })
  }
  throw new LlamacError('E_NO_WEBGPU', `the adapter '${name}', which ${adapterVariable} asks for, is not to be had`)
}

/**
 * A `GPU` whose requestAdapter() gives an adapter: the one that LLAMAC_WEBGPU_ADAPTER names a part of, if it is set. Without, `software: true`
 * takes SwiftShader; else a real adapter is tried first. Errors: LlamacError E_NO_WEBGPU, saying what to install, or what there is.
 */
export const createNodeGpu = async (options: { readonly software?: boolean } = {}): Promise<GPU> => {
  const dawn = await loadDawn()
  const named = process.env[adapterVariable]
  if (named) return namedGpu(dawn, named)
  // Without a Vulkan loader Dawn prints a warning on Linux; asking for the library first keeps the terminal clean.
  if (options.software !== true && (process.platform !== 'linux' || preload('libvulkan.so.1'))) {
    const gpu = create(dawn, [])
    if ((await gpu.requestAdapter({ powerPreference: 'high-performance' })) !== null) return gpu
  }
  return softwareGpu(dawn)
}

/** A `GPU` that checks programs and runs nothing: every WGSL and API error shows, with no driver at all. */
export const createNullGpu = async (): Promise<GPU> => create(await loadDawn(), ['backend=null'])
