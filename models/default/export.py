"""Writes what train.py reached: OUT/model.gguf (matrices q8_0, norms f32), a Hugging Face folder OUT/hf (f32), OUT/figures.json.

    python export.py --text tinyshakespeare.txt --tokenizer tokenizer.json --out OUT

Needs torch, numpy, tokenizers, safetensors and gguf (llama.cpp's package, so that the file is one that other programs read).
"""

import argparse
import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from train import BOS, CONTEXT, DEPTH, EMBED, FFN, HEADS, KV_HEADS, NORM_EPS, THETA, VOCAB, Model, held_out_loss, split_text

SLICE = 10000  # characters of the held-out text that tests read


def hugging_face_names(state):
    """The state under the names of Hugging Face's LLaMA, with the joined matrices apart."""
    tensors = {"model.embed_tokens.weight": state["embed_tokens.weight"], "model.norm.weight": state["norm.weight"]}
    head = EMBED // HEADS
    for i in range(DEPTH):
        here, there = f"layers.{i}", f"model.layers.{i}"
        q, k, v = state[f"{here}.qkv_proj.weight"].split((HEADS * head, KV_HEADS * head, KV_HEADS * head))
        gate, up = state[f"{here}.gate_up_proj.weight"].chunk(2)
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{there}.{name}.weight"] = state[f"{here}.{name}.weight"]
        for name, tensor in (("q", q), ("k", k), ("v", v), ("o", state[f"{here}.o_proj.weight"])):
            tensors[f"{there}.self_attn.{name}_proj.weight"] = tensor
        for name, tensor in (("gate", gate), ("up", up), ("down", state[f"{here}.down_proj.weight"])):
            tensors[f"{there}.mlp.{name}_proj.weight"] = tensor
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": VOCAB,
    "hidden_size": EMBED,
    "intermediate_size": FFN,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "max_position_embeddings": CONTEXT,
    "rope_theta": THETA,
    "rms_norm_eps": NORM_EPS,
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def figures(state, tokenizer, path):
    """What the tests compare with: losses in f32, of the whole held-out text and of a shorter part of it."""
    model = Model()
    model.load_state_dict(state)
    training, held_out = split_text(path)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "held_out_from": len(training),
        "held_out_characters": len(held_out),
        "held_out_nats_per_character": round(held_out_loss(model, tokenizer, held_out), 5),
        "slice_characters": SLICE,
        "slice_nats_per_character": round(held_out_loss(model, tokenizer, held_out[:SLICE]), 5),
    }


def write(state, out, tokenizer_file):
    """The state as model.gguf (matrices q8_0, norms f32) and as a Hugging Face folder OUT/hf (f32)."""
    tensors = hugging_face_names(state)
    folder = out / "hf"
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": BOS, "eos_token": BOS}) + "\n")
    shutil.copyfile(tokenizer_file, folder / "tokenizer.json")

    tokenizer = json.loads(Path(tokenizer_file).read_text(encoding="utf-8"))
    pieces = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    special = {token["content"] for token in tokenizer["added_tokens"]}
    writer = gguf.GGUFWriter(out / "model.gguf", "llama")
    writer.add_name("Shakespeare")
    writer.add_description("The model that ships with llamac, trained by models/default/train.py")
    writer.add_license("MIT")
    writer.add_vocab_size(VOCAB)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBED)
    writer.add_block_count(DEPTH)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(EMBED // HEADS)
    writer.add_rope_freq_base(THETA)
    writer.add_layer_norm_rms_eps(NORM_EPS)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(pieces)
    writer.add_token_types([gguf.TokenType.CONTROL if piece in special else gguf.TokenType.NORMAL for piece in pieces])
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(pieces.index(BOS))
    writer.add_eos_token_id(pieces.index(BOS))
    writer.add_add_bos_token(True)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, DEPTH)
    for name, tensor in tensors.items():
        values = tensor.numpy()
        for which, heads in (("q_proj", HEADS), ("k_proj", KV_HEADS)):
            if which in name:  # GGUF's LLaMA pairs neighbouring rows of a head for its rotary positions.
                rows = values.reshape(heads, 2, values.shape[0] // heads // 2, EMBED)
                values = np.ascontiguousarray(rows.swapaxes(1, 2).reshape(values.shape))
        name = names.get_name(name, try_suffixes=(".weight",))
        if values.ndim < 2:
            writer.add_tensor(name, values)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    state = torch.load(arguments.out / "best.pt", weights_only=True)
    found = figures(state, Tokenizer.from_file(arguments.tokenizer), arguments.text)
    (arguments.out / "figures.json").write_text(json.dumps(found, indent=2) + "\n")
    print(found)
    write(state, arguments.out, arguments.tokenizer)


if __name__ == "__main__":
    main()
