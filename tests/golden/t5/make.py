"""Makes the two tiny T5 checkpoints beside this file, and the numbers that transformers computes from them in float64.

    python make.py            (torch, transformers, safetensors; numbers below are those of the versions in golden.json)

v1_0: ReLU, tied and scaled output. v1_1: gated tanh GELU, an output matrix of its own. Weights are drawn from a seeded generator and
rounded to float32. The format of golden.json is that of the shared hf-golden folders (marian's). Sequences reach the buckets that
grow like a logarithm, and the last one. config.v4.json is the same config as transformers 4 writes it.
"""

import base64
import json
from pathlib import Path

import numpy
import torch
import transformers
from safetensors.numpy import save_file
from transformers.models.t5 import modeling_t5

HERE = Path(__file__).parent


def double_norm(self, x):
    # The library takes the variance in float32.
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


modeling_t5.T5LayerNorm.forward = double_norm


def check_buckets(config):
    """The library rounds logarithms to float32: for these distances float64 gives the same buckets."""
    bucket = modeling_t5.T5Attention._relative_position_bucket
    distances = torch.arange(-200, 200)
    plain = torch.Tensor.float
    for both in (True, False):
        args = dict(bidirectional=both, num_buckets=config.relative_attention_num_buckets, max_distance=config.relative_attention_max_distance)
        single = bucket(distances, **args)
        torch.Tensor.float = torch.Tensor.double
        exact = bucket(distances, **args)
        torch.Tensor.float = plain
        assert torch.equal(single, exact)


def encoded(array):
    data = numpy.ascontiguousarray(array.detach().numpy().astype("<f8"))
    return {"dims": list(data.shape), "dtype": "float64", "base64": base64.b64encode(data.tobytes()).decode()}


def draw(model, generator, tied):
    """Matrices about 1/sqrt(inputs), norm gains 1 + 0.2 n, and biases of distance large enough to matter."""
    for name, weight in sorted(model.named_parameters()):
        noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        if name.endswith("layer_norm.weight"):
            value = 1 + 0.2 * noise
            if tied and name.startswith("decoder.final"):
                # Of both signs: else greedy decoding repeats a token, whose embedding is what comes out.
                value[::2] *= -1
        elif "relative_attention_bias" in name:
            value = noise
        elif name == "shared.weight":
            value = 1.5 * noise
        else:
            value = noise * (0.5 if name.endswith(".q.weight") else 1.2) / weight.shape[1] ** 0.5
        with torch.no_grad():
            weight.copy_(value.float().double())


def make(folder, seed, gated, **shape):
    config = transformers.T5Config(
        feed_forward_proj="gated-gelu" if gated else "relu", tie_word_embeddings=not gated, decoder_start_token_id=0, **shape
    )
    check_buckets(config)
    torch.set_default_dtype(torch.float64)
    model = transformers.T5ForConditionalGeneration._from_config(config, attn_implementation="eager").eval().double()
    if gated:
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.shared.weight))
    generator = torch.Generator().manual_seed(seed)
    draw(model, generator, tied=not gated)

    def full(ids, target):
        out = model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([target]), use_cache=False)
        return out.logits[0], out.encoder_last_hidden_state[0]

    def greedy(ids, count=12):
        tokens, gap, cache = [], float("inf"), None
        memory, last = model.encoder(input_ids=torch.tensor([ids])), 0
        for _ in range(count):
            out = model(encoder_outputs=memory, decoder_input_ids=torch.tensor([[last]]), cache=cache, use_cache=True)
            cache = out.cache
            best = out.logits[0, -1].topk(2)
            gap = min(gap, (best.values[0] - best.values[1]).item())
            last = int(best.indices[0])
            tokens.append(last)
        return tokens, gap

    random = numpy.random.default_rng(seed)
    sequences = []
    for source, target in ((1, 1), (7, 5), (shape["n_positions"] - 6, 36)):
        ids = random.integers(1, config.vocab_size, source).tolist()
        decoder = [0, *random.integers(1, config.vocab_size, target - 1).tolist()]
        logits, memory = full(ids, decoder)
        tokens, gap = greedy(ids)
        assert gap > 0.01, f"{folder}: a greedy choice is too close ({gap}); take another seed"
        again, _ = full(ids, [0, *tokens])
        assert again.argmax(-1)[:-1].tolist() == tokens, "the cache changes the numbers"
        sequences.append(
            {
                "input_ids": ids,
                "decoder_input_ids": decoder,
                **({"encoder_last_hidden_state": encoded(memory)} if source < 10 else {}),
                "logits": encoded(logits),
                "greedy": tokens,
                "greedy_min_gap": gap,
            }
        )

    def moved(change):
        """How far the longest sequence's logits move with something misread."""
        undo = change()
        ids, decoder = sequences[-1]["input_ids"], sequences[-1]["decoder_input_ids"]
        other, _ = full(ids, decoder)
        undo()
        right, _ = full(ids, decoder)
        return (other - right).abs().max().item()

    def set_attribute(owner, name, value):
        def change():
            old = getattr(owner, name)
            setattr(owner, name, value)
            return lambda: setattr(owner, name, old)

        return change

    encoder_bias = model.encoder.block[0].layer[0].SelfAttention
    decoder_bias = model.decoder.block[0].layer[0].SelfAttention
    checks = {
        "one distance further in the encoder": moved(set_attribute(encoder_bias, "relative_attention_max_distance", config.relative_attention_max_distance * 2)),
        "one distance further in the decoder": moved(set_attribute(decoder_bias, "relative_attention_max_distance", config.relative_attention_max_distance * 2)),
        "scale of the output the other way": moved(set_attribute(model.config, "scale_decoder_outputs", gated)),
        "another activation": moved(
            lambda: (lambda acts, old: ([setattr(a, "act", torch.nn.SiLU()) for a in acts], lambda: [setattr(a, "act", o) for a, o in zip(acts, old)])[1])(
                *(lambda acts: (acts, [a.act for a in acts]))([m for m in model.modules() if hasattr(m, "act")])
            )
        ),
    }
    assert min(checks.values()) > 0.01, checks

    out = HERE / folder
    out.mkdir(exist_ok=True)
    tensors = {name: value.float().numpy() for name, value in model.state_dict().items() if ".embed_tokens." not in name}
    if not gated:
        del tensors["lm_head.weight"]
    save_file({name: numpy.ascontiguousarray(value) for name, value in tensors.items()}, out / "model.safetensors")
    written = {**model.config.to_dict(), "architectures": ["T5ForConditionalGeneration"], "dtype": "float32"}
    (out / "config.json").write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")
    old = {key: value for key, value in written.items() if key not in ("scale_decoder_outputs", "dtype")}
    old.update(torch_dtype="float32", transformers_version="4.57.0", tie_word_embeddings=not gated)
    (out / "config.v4.json").write_text(json.dumps(old, indent=2, sort_keys=True) + "\n")
    golden = {
        "format": 1,
        "name": folder,
        "model_class": "T5ForConditionalGeneration",
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "seed": seed,
        "computed_in": "float64 throughout, eager attention, eval mode; weights are the float32 values of model.safetensors",
        "checks": {"logits_move_without_feature": checks},
        "sequences": sequences,
    }
    (out / "golden.json").write_text(json.dumps(golden) + "\n")
    print(folder, sum(f.stat().st_size for f in out.iterdir()), checks, [s["greedy"] for s in sequences], [s["greedy_min_gap"] for s in sequences])


make("v1_0", 3, False, vocab_size=72, d_model=24, d_kv=6, num_heads=3, d_ff=36, num_layers=2, num_decoder_layers=3, n_positions=150)
make(
    "v1_1", 11, True, vocab_size=64, d_model=24, d_kv=8, num_heads=3, d_ff=32, num_layers=2, n_positions=72,
    relative_attention_num_buckets=16, relative_attention_max_distance=40,
)
