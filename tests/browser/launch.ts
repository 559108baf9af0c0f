// Starts the Chromium that comes with the development packages, unpacked once. Its GPU is SwiftShader. A proxy that refuses everything
// stands for the world outside: it notes whoever asks for another host than 127.0.0.1, the browser's own services included.

import { createServer } from 'node:http'
import { join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { driverFolder } from '../../cli/software-driver.ts'
import { listen } from './site.ts'

export interface Chromium {
  readonly browser: Browser
  /** Where the executable and its libraries lie. */
  readonly folder: string
  /** What was asked of other hosts than 127.0.0.1. */
  readonly outside: readonly string[]
  close(): Promise<void>
}

/** A name for 127.0.0.1 that does not make a page a secure context, as the name of any machine would. */
export const foreignHost = 'plain-http.test'

const flags = [
  '--no-first-run',
  '--disable-quic',
  // WebGPU on a software adapter, which says its name.
  '--enable-unsafe-webgpu',
  '--enable-webgpu-developer-features',
  // SwiftShader zeroes workgroup memory word by word in straight-line code (seconds to compile); Dawn's own way is a loop.
  '--disable-dawn-features=use_vulkan_zero_initialize_workgroup_memory_extension',
]

/** The caller closes it. E_NO_WEBGPU when the packages that carry it are missing. */
export async function launchChromium(): Promise<Chromium> {
  const folder = await driverFolder('chromium')
  const outside: string[] = []
  const wall = createServer((request, response) => {
    outside.push(`${request.method} ${request.url}`)
    response.writeHead(403).end()
  })
  wall.on('connect', (request, socket) => {
    outside.push(`CONNECT ${request.url}`)
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
  })
  const port = await listen(wall)
  const browser = await chromium.launch({
    executablePath: join(folder, 'chromium'),
    // A slow machine is no failure.
    timeout: 0,
    // Tests run as root in containers, where Chromium's sandbox cannot start.
    chromiumSandbox: false,
    args: [
      ...flags,
      `--proxy-server=http://127.0.0.1:${port}`,
      `--proxy-bypass-list=127.0.0.1;${foreignHost}`,
      `--host-resolver-rules=MAP ${foreignHost} 127.0.0.1`,
    ],
    env: { ...(process.env as Record<string, string>), LD_LIBRARY_PATH: folder },
  })
  return {
    browser,
    folder,
    outside,
    async close() {
      await browser.close()
      wall.closeAllConnections()
      wall.close()
    },
  }
}
