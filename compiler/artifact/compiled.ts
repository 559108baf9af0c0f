// A compilation as an artifact that nobody wrote: what `load` takes to run a model in the process that compiled it. Programs are made
// when they are asked for, so of several variants only the one that this machine takes; weights go piece by piece from the
// checkpoint to where the device wants them. No file, so no hashes: those in the manifest are zeros.

import { manifestFormat, type Manifest, type Variant } from '../../runtime/artifact/manifest.ts'
import { type Artifact, sinkOf } from '../../runtime/artifact/read.ts'
import { LlamacError } from '../../runtime/error.ts'
import { type ArtifactContents, describeTensors, expectBytes, programBytes, programFile, sourceBytes } from './contents.ts'
import { sourceRecordFile } from './source-record.ts'

/** After so many bytes signals are heard. */
const breath = 2 ** 24
const noHash = '0'.repeat(64)

/** Whether it describes such an artifact: its programs are those that its sources give. */
export const isCompiledHere = ({ source }: Manifest): boolean => source?.sha256 === noHash

export function compiledArtifact(contents: ArtifactContents): Artifact {
  const { tensors, variants, source, tokenizer, withWeights } = contents
  const { plan, described } = describeTensors(tensors)
  const files = new Map<string, () => Promise<Uint8Array<ArrayBuffer>>>()
  const named = variants.map((variant): Variant => {
    if (variant.target === 'reference') return { target: variant.target, requires: variant.requires }
    const program = programFile(variants, variant)
    files.set(program, () => programBytes(variant))
    return { ...variant, program, sha256: noHash }
  })
  if (source) files.set(sourceRecordFile, async () => sourceBytes(source))
  const manifest: Manifest = {
    format: manifestFormat,
    ...contents.manifest,
    tensors: described,
    shards: withWeights ? plan.sizes.map((bytes, i) => ({ file: `weights-${i}`, bytes, chunks: [] })) : [],
    variants: named,
    ...(source ? { source: { file: sourceRecordFile, sha256: noHash } } : {}),
  }
  const total = tensors.reduce((sum, { bytes }) => sum + bytes, 0)
  return {
    manifest,
    where: 'the compiled model',
    async program({ program }) {
      const made = files.get(program)
      if (!made) throw new Error(`internal: the compiled model has no file ${program}`)
      return made()
    },
    tokenizer: async () => tokenizer,
    needWeights() {
      if (!withWeights && total > 0) throw new LlamacError('E_NO_WEIGHTS', 'the model was compiled without weights')
    },
    async loadTensors(to, { signal, onProgress } = {}) {
      this.needWeights()
      const sink = sinkOf(to)
      let loaded = 0
      let told = 0
      for (const [index, { path, bytes, pieces }] of tensors.entries()) {
        if (loaded - told >= breath) {
          told = loaded
          await new Promise((resolve) => setTimeout(resolve))
        }
        if (signal?.aborted) throw new LlamacError('E_ABORTED', 'loading was aborted', { cause: signal.reason })
        let offset = 0
        const into = typeof to === 'function' ? undefined : new Uint8Array(to.buffer, to.places[index]!, bytes)
        for (const piece of pieces(into)) {
          if (piece.buffer !== into?.buffer) sink(index, offset, piece as Uint8Array<ArrayBuffer>)
          offset += piece.length
        }
        expectBytes(path, offset, bytes)
        loaded += bytes
        onProgress?.({ type: 'weights', loaded, total })
      }
    },
  }
}
