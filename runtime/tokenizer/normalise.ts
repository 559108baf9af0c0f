// Steps that change a text before it is cut, in the order that a tokenizer lists them. All are linear; the engine's own Unicode tables
// say what is a mark, a control character or a small letter.
import type { NormaliseStep } from './compact.ts'
import { fail } from '../error-codes.ts'
import { createCharsmap } from './charsmap.ts'
import { normalForm } from './normal-form.ts'

type Change = (text: string) => string

/** BERT's ideographs, with a gap where Hugging Face's has one. */
const ideographs =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu

const changes: Readonly<Record<string, Change>> = {
  nfc: (text) => normalForm(text, 'NFC'),
  nfd: (text) => normalForm(text, 'NFD'),
  nfkc: (text) => normalForm(text, 'NFKC'),
  nfkd: (text) => normalForm(text, 'NFKD'),
  // Letter by letter: a sigma at the end of a word stays an ordinary one.
  lowercase: (text) => text.replaceAll('Σ', 'σ').toLowerCase(),
  'strip-accents': (text) => text.replace(/\P{ASCII}/gu, (character) => character.normalize('NFD')).replace(/\p{Mn}/gu, ''),
  clean: (text) => text.replace(/(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\ufffd]/gu, '').replace(/\p{White_Space}/gu, ' '),
  'space-ideographs': (text) => text.replace(ideographs, ' $& '),
  'white-space': (text) => text.replace(/\p{White_Space}/gu, ' '),
  'single-spaces': (text) => text.replace(/ +/g, ' ').replace(/^ | $/g, ''),
  strip: (text) => /^\p{White_Space}*(.*)/su.exec(text)![1]!.replace(/(?<!\p{White_Space})\p{White_Space}+$/u, ''),
}

/** E_TOKENIZER for a step that this runtime does not know. */
export function createNormaliser(steps: readonly NormaliseStep[]): Change {
  const chain = steps.map((step): Change => {
    if (typeof step !== 'string' && 'charsmap' in step) return createCharsmap(step.charsmap)
    if (typeof step !== 'string') return (text) => text.replaceAll(step.replace, () => step.by)
    if (!Object.hasOwn(changes, step)) fail('E_TOKENIZER', `the normalisation ${JSON.stringify(step)} needs a newer runtime`)
    return changes[step]!
  })
  return (text) => chain.reduce((changed, change) => change(changed), text)
}
