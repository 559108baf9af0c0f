"""Makes the folders beside it: tiny GPT-3, PaLM and Chinchilla with random weights, and what they compute.

These models were never published, so no library has their numbers. Each is written here from its paper, position by position in
float64 and without a cache, sharing nothing with the project. Run with NumPy (`python make.py`); the same seed writes the same bytes.

  Brown et al. 2020 (arXiv 2005.14165), Child et al. 2019 (1904.10509)      gpt3
  Chowdhery et al. 2022 (2204.02311), Shazeer 2019 (1911.02150), 2020       palm
  Rae et al. 2021 (2112.11446), Dai et al. 2019 (1901.02860)                chinchilla
"""

import base64
import json
import math
import struct
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SEQUENCES = ([7], [3, 14, 1, 5, 9], [2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8])
GREEDY = 6


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def layer_norm(x, gain, bias, eps):
    c = x - x.mean()
    return c / math.sqrt((c * c).mean() + eps) * gain + bias


def rms_norm(x, gain, eps):
    return x / math.sqrt((x * x).mean() + eps) * gain


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def silu(x):
    return x / (1 + np.exp(-x))


class Weights:
    """Draws a tensor when it is first named; values are those of float16, so that the files are small and exact."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.tensors = {}

    def __call__(self, name, *shape, scale=None, mean=0.0):
        if name not in self.tensors:
            scale = scale if scale is not None else 1 / math.sqrt(shape[0])
            drawn = mean + scale * self.random.standard_normal(shape)
            self.tensors[name] = drawn.astype(np.float16)
        assert self.tensors[name].shape == shape, name
        return self.tensors[name].astype(np.float64)

    def gain(self, name, size):
        return self(name, size, scale=0.3, mean=1.0)

    def bias(self, name, size):
        return self(name, size, scale=0.3)


def gpt3(w, ids, c):
    """Pre-norm GPT-2; even layers look at everything before, odd ones at the last `window_size` positions, their own among them."""
    embed, heads = c["n_embd"], c["n_head"]
    size = embed // heads
    x = [w("wte.weight", c["vocab_size"], embed, scale=1)[t] + w("wpe.weight", c["n_positions"], embed, scale=0.5)[i] for i, t in enumerate(ids)]
    for layer in range(c["n_layer"]):
        h = f"h.{layer}"
        n = [layer_norm(v, w.gain(f"{h}.ln_1.weight", embed), w.bias(f"{h}.ln_1.bias", embed), c["layer_norm_epsilon"]) for v in x]
        qkv = [v @ w(f"{h}.attn.c_attn.weight", embed, 3 * embed) + w.bias(f"{h}.attn.c_attn.bias", 3 * embed) for v in n]
        for i in range(len(ids)):
            mixed = np.zeros(embed)
            first = 0 if layer % 2 == 0 else max(0, i - c["window_size"] + 1)
            for head in range(heads):
                at = slice(head * size, (head + 1) * size)
                q = qkv[i][:embed][at]
                keys = [qkv[j][embed : 2 * embed][at] for j in range(first, i + 1)]
                values = [qkv[j][2 * embed :][at] for j in range(first, i + 1)]
                p = softmax(np.array([q @ k for k in keys]) / math.sqrt(size))
                mixed[at] = sum(a * v for a, v in zip(p, values))
            x[i] = x[i] + mixed @ w(f"{h}.attn.c_proj.weight", embed, embed) + w.bias(f"{h}.attn.c_proj.bias", embed)
        for i in range(len(ids)):
            n = layer_norm(x[i], w.gain(f"{h}.ln_2.weight", embed), w.bias(f"{h}.ln_2.bias", embed), c["layer_norm_epsilon"])
            wide = gelu_tanh(n @ w(f"{h}.mlp.c_fc.weight", embed, 4 * embed) + w.bias(f"{h}.mlp.c_fc.bias", 4 * embed))
            x[i] = x[i] + wide @ w(f"{h}.mlp.c_proj.weight", 4 * embed, embed) + w.bias(f"{h}.mlp.c_proj.bias", embed)
    n = [layer_norm(v, w.gain("ln_f.weight", embed), w.bias("ln_f.bias", embed), c["layer_norm_epsilon"]) for v in x]
    return np.array([v @ w("wte.weight", c["vocab_size"], embed, scale=1).T for v in n])


def rotated(x, position, theta):
    """Pair (k, k + size / 2) turned by position · theta^(-2k / size), as a complex number."""
    half = len(x) // 2
    z = (x[:half] + 1j * x[half:]) * np.exp(1j * position * theta ** (-2 * np.arange(half) / len(x)))
    return np.concatenate([z.real, z.imag])


def palm(w, ids, c):
    """y = x + attention(norm(x)) + mlp(norm(x)); all heads of queries share one head of keys and values; scores / sqrt(width)."""
    embed, heads, size, ffn = c["hidden_size"], c["num_attention_heads"], c["head_dim"], c["intermediate_size"]
    table = w("model.embed_tokens.weight", c["vocab_size"], embed, scale=1)
    x = [table[t] for t in ids]
    for layer in range(c["num_hidden_layers"]):
        h = f"model.layers.{layer}"
        n = [layer_norm(v, w.gain(f"{h}.input_layernorm.weight", embed), 0, c["rms_norm_eps"]) for v in x]
        w_q = w(f"{h}.self_attn.q_proj.weight", heads * size, embed, scale=0.4)
        keys = [rotated(w(f"{h}.self_attn.k_proj.weight", size, embed, scale=0.4) @ v, j, c["rope_theta"]) for j, v in enumerate(n)]
        values = [w(f"{h}.self_attn.v_proj.weight", size, embed, scale=0.4) @ v for v in n]
        for i in range(len(ids)):
            mixed = []
            for head in range(heads):
                q = rotated(w_q[head * size : (head + 1) * size] @ n[i], i, c["rope_theta"])
                p = softmax(np.array([q @ k for k in keys[: i + 1]]) / math.sqrt(size))
                mixed.append(sum(a * v for a, v in zip(p, values)))
            attention = w(f"{h}.self_attn.o_proj.weight", embed, heads * size, scale=0.4) @ np.concatenate(mixed)
            gate = silu(w(f"{h}.mlp.gate_proj.weight", ffn, embed, scale=0.4) @ n[i])
            up = w(f"{h}.mlp.up_proj.weight", ffn, embed, scale=0.4) @ n[i]
            x[i] = x[i] + attention + w(f"{h}.mlp.down_proj.weight", embed, ffn, scale=0.4) @ (gate * up)
    n = [layer_norm(v, w.gain("model.norm.weight", embed), 0, c["rms_norm_eps"]) for v in x]
    return np.array([table @ v for v in n]) / math.sqrt(embed)


def wave(distance, embed):
    """R of Dai et al.: sines of all rates, then cosines."""
    rates = 10000.0 ** (-2 * np.arange(embed // 2) / embed)
    return np.concatenate([np.sin(distance * rates), np.cos(distance * rates)])


def chinchilla(w, ids, c):
    """GPT-2 without learnt positions and with RMSNorm; A_ij = q·k + q·W R_(i-j) + u·k + v·W R_(i-j) (Dai et al., section 3.3)."""
    embed, heads = c["n_embd"], c["n_head"]
    size = embed // heads
    table = w("wte.weight", c["vocab_size"], embed, scale=1)
    x = [table[t] for t in ids]
    for layer in range(c["n_layer"]):
        h = f"h.{layer}"
        n = [rms_norm(v, w.gain(f"{h}.ln_1.weight", embed), c["layer_norm_epsilon"]) for v in x]
        qkv = [v @ w(f"{h}.attn.c_attn.weight", embed, 3 * embed) + w.bias(f"{h}.attn.c_attn.bias", 3 * embed) for v in n]
        w_r = w(f"{h}.attn.r_net.weight", embed, embed, scale=0.5)
        u = w(f"{h}.attn.r_w_bias", heads, size, scale=0.7)
        v_ = w(f"{h}.attn.r_r_bias", heads, size, scale=0.7)
        for i in range(len(ids)):
            mixed = np.zeros(embed)
            for head in range(heads):
                at = slice(head * size, (head + 1) * size)
                q = qkv[i][:embed][at]
                scores = []
                for j in range(i + 1):
                    k, r = qkv[j][embed : 2 * embed][at], (w_r @ wave(i - j, embed))[at]
                    scores.append(q @ k + q @ r + u[head] @ k + v_[head] @ r)
                p = softmax(np.array(scores) / math.sqrt(size))
                mixed[at] = sum(p[j] * qkv[j][2 * embed :][at] for j in range(i + 1))
            x[i] = x[i] + mixed @ w(f"{h}.attn.c_proj.weight", embed, embed) + w.bias(f"{h}.attn.c_proj.bias", embed)
        for i in range(len(ids)):
            n = rms_norm(x[i], w.gain(f"{h}.ln_2.weight", embed), c["layer_norm_epsilon"])
            wide = gelu_tanh(n @ w(f"{h}.mlp.c_fc.weight", embed, 4 * embed) + w.bias(f"{h}.mlp.c_fc.bias", 4 * embed))
            x[i] = x[i] + wide @ w(f"{h}.mlp.c_proj.weight", 4 * embed, embed) + w.bias(f"{h}.mlp.c_proj.bias", embed)
    n = [rms_norm(v, w.gain("ln_f.weight", embed), c["layer_norm_epsilon"]) for v in x]
    return np.array([table @ v for v in n])


GPT = {"vocab_size": 19, "n_positions": 20, "n_embd": 12, "n_head": 3, "n_layer": 3, "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new"}
MODELS = {
    "gpt3": (gpt3, {**GPT, "model_type": "gpt3", "window_size": 4}),
    "palm": (
        palm,
        {
            "vocab_size": 19, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 8,
            "intermediate_size": 48, "max_position_embeddings": 20, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
            "tie_word_embeddings": True, "hidden_act": "silu", "model_type": "palm",
        },
    ),
    "chinchilla": (chinchilla, {**GPT, "model_type": "chinchilla", "n_layer": 2}),
}  # fmt: skip


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, tensor in sorted(tensors.items()):
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [at, at + tensor.nbytes]}
        at += tensor.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(tensors[name].tobytes() for name in header))


def main():
    for seed, (name, (logits, config)) in enumerate(MODELS.items()):
        w = Weights(seed + 20)
        sequences = []
        for ids in SEQUENCES:
            scores = logits(w, ids, config)
            greedy = list(ids)
            for _ in range(GREEDY):
                greedy.append(int(logits(w, greedy, config)[-1].argmax()))
            array = {"dims": list(scores.shape), "dtype": "float64", "base64": base64.b64encode(scores.astype("<f8").tobytes()).decode()}
            sequences.append({"input_ids": ids, "logits": array, "greedy": greedy[len(ids) :]})
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        write_safetensors(folder / "model.safetensors", w.tensors)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        (folder / "golden.json").write_text(json.dumps({"by": "make.py, NumPy in float64", "sequences": sequences}, indent=1) + "\n")


main()
