// How models differ once they are expanded: nothing from itself, everything from a variant that says something else, wherever it
// stands and whatever its block is called.

import { expect, test } from 'vitest'
import { type Difference, diffExpanded } from '../../dsl/diff.ts'
import { load, program } from './read-models.ts'

const base = load('llama').expand().text!
/** What differs from LLaMA, in short. */
const told = (differences: readonly Difference[]): string[] =>
  differences.map(
    ({ where, what, before, after }) =>
      `${before === undefined ? '+' : after === undefined ? '-' : '~'} ${where ? `${where}: ` : ''}${what}`,
  )
const against = (text: string): Difference[] => diffExpanded(base, program(text).expand().text!)

test('a model and itself, and a copy under other names with other layout', () => {
  expect(diffExpanded(base, base)).toEqual([])
  const copy = base
    .replaceAll(/\b(RMSNorm|Attention|Layer)\b/g, 'My$1')
    .replaceAll(/ {2,}/g, ' ')
    .replace('block MyLayer', '// a remark\nblock MyLayer')
  expect(diffExpanded(base, copy)).toEqual([])
})

test('what a variant changes, by place', () => {
  const differences = against(`module variant
    import llama { Llama, LlamaConfig, Attention, MLP, Layer }
    import std.nn { silu, relu }
    import std.attention { causal, sliding }
    config V extends LlamaConfig { window: int = 16  norm_eps = 1e-5 }
    block BiasedAttention extends Attention uses V {
      weight bo: [embed]
      override fn forward(x: real[seq, embed], start: index) -> real[seq, embed] { return super(x, start) + bo }
    }
    block Wide extends Layer { override part mlp: MLP(width: 2 * ffn) }
    model Variant extends Llama uses V {
      replace Attention with BiasedAttention
      replace Layer with Wide
      replace silu with relu in MLP
      replace causal with sliding(window: window) in Attention
      checkpoint hf { inherit hf  layers[i].attn.bo <- "model.layers.{i}.self_attn.o_proj.bias"  expect "attention_bias" = true }
      preset "tiny" { vocab = 256 }
    }`)
  expect(told(differences).filter((line) => !/preset|"\d+M?B?"/.test(line))).toEqual([
    '~ config: norm_eps',
    '+ config: window',
    '~ layers[i]: part mlp',
    '~ layers[i].attn: fn sees',
    '~ layers[i].attn: fn forward',
    '+ layers[i].attn: fn forward_of_Attention',
    '+ layers[i].attn: weight bo',
    '~ layers[i].mlp: fn forward',
    // Inherited, but without a rule for the new weight.
    '- tables: checkpoint gguf("llama")',
    '- tables: checkpoint meta',
    '~ checkpoint hf: expect "attention_bias"',
    '+ checkpoint hf: layers[i].attn.bo',
    '- ops: silu',
    '- ops: causal',
    '+ ops: relu',
    '+ ops: sliding',
  ])
  expect(differences.find(({ what }) => what === 'fn sees')?.after).toContain('sliding(q, k, window: window)')
})
