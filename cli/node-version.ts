// An old Node fails somewhere inside a package, with a stack that says nothing; it is refused before anything else is loaded.

import { LlamacError } from '../runtime/error.ts'

/** What `engines` in package.json says. */
export const oldestNode = '22.18'

/** Throws E_NODE when `version`, as `process.versions.node` has it, is older. */
export function requireNode(version: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [oldestMajor = 0, oldestMinor = 0] = oldestNode.split('.').map(Number)
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return
  throw new LlamacError(
    'E_NODE',
    `llamac needs Node ${oldestNode} or newer, and this is ${version}. In a clone, npm scripts and npx run the right one`,
  )
}
