// Sharded safetensors: model.safetensors.index.json maps each tensor's name to the file that holds it. Every file is read by
// safetensors.ts; the index and the files must agree, name by name, and a file name never leaves the index's folder.

import { beside, type ByteSource, type Files } from './byte-source.ts'
import { refusal } from './refusal.ts'
import { readSafetensors } from './safetensors.ts'
import type { StoredTensor } from './stored-tensor.ts'
import { isObject, parseStrictJson } from './strict-json.ts'

const largestIndex = 64 * 2 ** 20

/** All tensors of the shards that an index at `path` names. Errors: E_SAFETENSORS_INDEX*, and those of each shard. */
export function readSafetensorsIndex(path: string, index: ByteSource, files: Files): Map<string, StoredTensor> {
  const refuse = (what: string) => refusal('E_SAFETENSORS_INDEX', index.name, what)
  if (index.size > largestIndex) throw refuse(`${index.size} bytes are too many for an index`)
  const text = new TextDecoder().decode(index.read(0, index.size))
  const root = parseStrictJson(text, 'E_SAFETENSORS_INDEX', index.name)
  const map = isObject(root) ? root['weight_map'] : undefined
  if (!isObject(map)) throw refuse('there is no weight_map')

  const namesByFile = new Map<string, string[]>()
  for (const name of Object.keys(map)) {
    const file = map[name]
    if (typeof file !== 'string' || !/^[^/\\:]+$/.test(file) || file === '..' || file === '.') {
      throw refuse(`${JSON.stringify(name)} lies in ${JSON.stringify(String(file))}, which is not the name of a file beside the index`)
    }
    const names = namesByFile.get(file)
    if (names) names.push(name)
    else namesByFile.set(file, [name])
  }

  const tensors = new Map<string, StoredTensor>()
  for (const [file, names] of namesByFile) {
    const source = files.open(beside(path, file))
    if (!source) throw refuse(`the file ${file} is missing`)
    const shard = readSafetensors(source).tensors
    for (const name of names) {
      const tensor = shard.get(name)
      if (!tensor) throw refuse(`${file} has no tensor ${JSON.stringify(name)}`)
      tensors.set(name, tensor)
    }
    for (const name of shard.keys()) {
      if (map[name] !== file) throw refuse(`${file} has a tensor ${JSON.stringify(name)} that the index does not place there`)
    }
  }
  return tensors
}
