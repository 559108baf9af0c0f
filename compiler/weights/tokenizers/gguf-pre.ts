// What llama.cpp's names of pre-tokenizers (`tokenizer.ggml.pre`) mean: a family of splitting rules (split-rules.ts), whether words that
// are tokens are taken whole, whether BOS goes first where the file does not say. Source: llama.cpp's src/llama-vocab.cpp.

import type { SplitRule } from '../../../runtime/tokenizer/compact.ts'
import { refusal } from '../refusal.ts'
import { splitRule } from './split-rules.ts'

interface Pre {
  readonly family: string
  readonly wholeWords?: boolean
  readonly addBos?: boolean
}

/** Names by what they mean. */
const groups: readonly (readonly [Pre, string])[] = [
  [{ family: 'default' }, 'default'],
  [{ family: 'llama3', wholeWords: true, addBos: true }, 'llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano'],
  [{ family: 'llama3' }, 'dbrx smaug-bpe glm4 chatglm-bpe'],
  [
    { family: 'gpt2' },
    'gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert exaone4 jina-v1-en jina-v2-code roberta-bpe mpt olmo jais trillion granite-docling',
  ],
  [{ family: 'smollm' }, 'starcoder refact command-r smollm codeshell exaone minerva-7b mellum2'],
  [{ family: 'qwen2' }, 'qwen2 deepseek-r1-qwen kormo f2llmv2 stablelm2 megrez hunyuan solar-open grok-2'],
  [{ family: 'qwen35' }, 'qwen35'],
  [{ family: 'deepseek-llm' }, 'deepseek-llm'],
  [{ family: 'deepseek-coder' }, 'deepseek-coder'],
  [{ family: 'deepseek-v3' }, 'deepseek-v3 hunyuan-dense joyai-llm'],
  [{ family: 'youtu', wholeWords: true }, 'youtu'],
  [{ family: 'falcon' }, 'falcon'],
  [{ family: 'tekken', wholeWords: true, addBos: true }, 'tekken'],
  [{ family: 'gpt-4o' }, 'gpt-4o llama4 kanana2 talkie minimax-m2'],
  [{ family: 'gpt-4o', wholeWords: true }, 'granite-embed-multi-97m'],
  [{ family: 'kimi-k2' }, 'kimi-k2'],
  [{ family: 'bailingmoe' }, 'bailingmoe bailingmoe2 llada-moe'],
  [{ family: 'seed-coder' }, 'seed-coder'],
  [{ family: 'minicpm5', wholeWords: true }, 'minicpm5'],
  [{ family: 'laguna' }, 'laguna'],
  [{ family: 'ufakzeka' }, 'ufakzeka'],
  [{ family: 'bloom' }, 'poro-chat bloom gpt3-finnish'],
  [{ family: 'viking' }, 'viking'],
  [{ family: 'chameleon', addBos: true }, 'chameleon'],
]
const names: ReadonlyMap<string, Pre> = new Map(groups.flatMap(([pre, list]) => list.split(' ').map((name) => [name, pre] as const)))

/** The names that are known. */
export const preNames: readonly string[] = [...names.keys()]

/** E_TOKENIZER_SPLIT for a name that is not known: another rule would give plausible but wrong ids. */
export function preTokenizer(name: string, file: string): { readonly split: SplitRule; readonly addBos: boolean } {
  const pre = names.get(name)
  if (!pre)
    throw refusal(
      'E_TOKENIZER_SPLIT',
      file,
      `tokenizer.ggml.pre is ${JSON.stringify(name)}, a splitting rule that is not known here; known are ${preNames.join(', ')}`,
    )
  return { split: splitRule(pre.family, pre.wholeWords ?? false), addBos: pre.addBos ?? false }
}
