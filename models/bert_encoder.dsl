module bert_encoder

import bert { Bert, BertConfig }

/// BERT without its masked-language head: what a file of embeddings holds, and all that GGUF knows of BERT.
model BertEncoder extends Bert uses BertConfig {
  drop score
  drop head_w   drop head_b   drop head_norm   drop vocab_bias
  checkpoint hf {
    inherit hf
    ignore "cls.*"
  }
  checkpoint gguf("bert") {
    tokens_table       <- "token_embd.weight"
    places_table       <- "position_embd.weight"
    kinds_table        <- "token_types.weight"
    embed_norm.gain    <- "token_embd_norm.weight"
    embed_norm.bias    <- "token_embd_norm.bias"
    layers[i].attn.wq  <- "blk.{i}.attn_q.weight"
    layers[i].attn.bq  <- "blk.{i}.attn_q.bias"
    layers[i].attn.wk  <- "blk.{i}.attn_k.weight"
    layers[i].attn.bk  <- "blk.{i}.attn_k.bias"
    layers[i].attn.wv  <- "blk.{i}.attn_v.weight"
    layers[i].attn.bv  <- "blk.{i}.attn_v.bias"
    layers[i].attn.wo  <- "blk.{i}.attn_output.weight"
    layers[i].attn.bo  <- "blk.{i}.attn_output.bias"
    layers[i].ln1.gain <- "blk.{i}.attn_output_norm.weight"
    layers[i].ln1.bias <- "blk.{i}.attn_output_norm.bias"
    layers[i].mlp.w1   <- "blk.{i}.ffn_up.weight"
    layers[i].mlp.b1   <- "blk.{i}.ffn_up.bias"
    layers[i].mlp.w2   <- "blk.{i}.ffn_down.weight"
    layers[i].mlp.b2   <- "blk.{i}.ffn_down.bias"
    layers[i].ln2.gain <- "blk.{i}.layer_output_norm.weight"
    layers[i].ln2.bias <- "blk.{i}.layer_output_norm.bias"
    expect "{arch}.attention.causal" = false
  }
  preset "base" { }
}
