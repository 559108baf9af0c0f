// Where an import may lie, in the order in which it is looked for. `std.nn` ships with the compiler; `llama` stands beside the importing
// file, at the root of its project, or in `models/`; a string names a file of an installed package, found like Node finds packages:
// in `node_modules` beside the importing file or in any folder above. A package's own files have the package as their root.

import type { Import } from '../ast.ts'

/** `node_modules/@acme/models/`, with what stands before it; '' outside of packages. */
const packageRoot = (path: string): string => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+\//.exec(path)?.[0] ?? ''

/** The folder of a file and those above it, nearest first, each with its slash; the last is the project's root: ''. */
function foldersOf(path: string): string[] {
  const folders: string[] = []
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) folders.push(path.slice(0, at + 1))
  return [...folders, ...(path.startsWith('/') ? ['/'] : []), '']
}

/** Names of packages and of files in them: no empty segment, none that leads out. */
export const isPackagePath = (path: string): boolean =>
  path.split('/').every((segment) => /^@?[\w-][\w.-]*$/.test(segment)) && !/^@[^/]*$/.test(path)

/** `"@acme/models/foo"` is the file foo.dsl of a package; a package's name alone means its index.dsl. */
function packageFile(path: string): string {
  const isWhole = path.split('/').length === (path.startsWith('@') ? 2 : 1)
  return isWhole ? `${path}/index.dsl` : `${path}.dsl`
}

/** Every path that `item` may mean in the file `importer`; none for a string that names no file of a package. */
export function candidatePaths(importer: string, item: Pick<Import, 'path' | 'isPackage'>): string[] {
  if (item.isPackage) {
    if (!isPackagePath(item.path)) return []
    const outside = foldersOf(importer).filter((folder) => !folder.endsWith('node_modules/'))
    return outside.map((folder) => `${folder}node_modules/${packageFile(item.path)}`)
  }
  const file = `${item.path.replaceAll('.', '/')}.dsl`
  if (item.path.startsWith('std.')) return [file]
  const [folder] = foldersOf(importer)
  return [...new Set([folder + file, packageRoot(importer) + file, `models/${file}`])]
}
