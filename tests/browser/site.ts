// A static server on 127.0.0.1: the runtime as ES modules, artifacts from memory, one page. Modules are the sources themselves with
// their types taken off by Node: the graph of files is that of the published build, no build can be out of date, and no bundler hides
// what a browser would have to fetch. (One test loads a published build.)

import { createReadStream, readFileSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { stripTypeScriptTypes } from 'node:module'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Headers of every answer, the page's and its workers' alike. */
export type SiteHeaders = Readonly<Record<string, string>>

/** What a page needs for SharedArrayBuffer. */
export const isolation: SiteHeaders = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }

export type ArtifactBytes = ReadonlyMap<string, Uint8Array>

export interface Site {
  /** `http://127.0.0.1:1234`, without a slash at the end. */
  readonly origin: string
  /** Paths that were asked for, in order. */
  readonly requests: readonly string[]
  /** The URL of an artifact made of these files; the same files keep their URL. */
  publish(files: ArtifactBytes): string
  close(): void
}

export interface SiteOptions {
  readonly headers?: SiteHeaders
  /** Takes over the answer for a file of an artifact when it returns true. */
  readonly intercept?: (path: string, bytes: Uint8Array, response: ServerResponse) => boolean
  /** A folder with a published build, served under /dist/. */
  readonly build?: string
  /** Files of the disk by their paths here. */
  readonly disk?: ReadonlyMap<string, string>
}

const root = fileURLToPath(new URL('../../', import.meta.url))
const modules = /^\/(?:runtime|tests\/browser\/page)\/[\w./-]+\.ts$/
const builtModules = /^\/dist\/(runtime\/[\w./-]+\.js)$/
const page = '<!doctype html><meta charset="utf-8"><title>llamac</title><script type="module" src="/tests/browser/page/page.ts"></script>'

const stripped = new Map<string, string>()

function moduleText(path: string): string {
  const known = stripped.get(path) ?? stripTypeScriptTypes(readFileSync(root + path.slice(1), 'utf8'))
  stripped.set(path, known)
  return known
}

const types: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
}

/** The caller closes it. */
export async function serveSite({ headers = {}, intercept = () => false, build, disk }: SiteOptions = {}): Promise<Site> {
  const artifacts: ArtifactBytes[] = []
  const requests: string[] = []

  function answer(path: string, response: ServerResponse): void {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    const [, index, file] = /^\/artifacts\/(\d+)\/([\w.-]+)$/.exec(path) ?? []
    const [, built] = builtModules.exec(path) ?? []
    const onDisk = disk?.get(path)
    const bytes = index === undefined ? undefined : artifacts[Number(index)]?.get(file!)
    if (path === '/') response.setHeader('content-type', 'text/html').end(page)
    else if (modules.test(path)) response.setHeader('content-type', 'text/javascript').end(moduleText(path))
    else if (built !== undefined && build !== undefined)
      response.setHeader('content-type', 'text/javascript').end(readFileSync(join(build, built)))
    else if (onDisk !== undefined) {
      response.setHeader('content-type', types[extname(path)] ?? 'application/octet-stream')
      createReadStream(onDisk).pipe(response)
    } else if (!bytes) response.writeHead(404).end()
    else if (!intercept(path, bytes, response)) response.setHeader('content-type', 'application/octet-stream').end(bytes)
  }

  const server: Server = createServer(({ url = '/' }, response) => {
    requests.push(url)
    answer(new URL(url, 'http://127.0.0.1').pathname, response)
  })
  const origin = `http://127.0.0.1:${await listen(server)}`
  return {
    origin,
    requests,
    publish(files) {
      if (!artifacts.includes(files)) artifacts.push(files)
      return `${origin}/artifacts/${artifacts.indexOf(files)}`
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** Listens on a free port of 127.0.0.1, and says which. */
export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return (server.address() as AddressInfo).port
}
