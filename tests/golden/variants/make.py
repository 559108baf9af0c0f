"""Makes the tiny checkpoints beside this file, and the numbers that transformers computes from them in float64.

    python make.py            (torch, transformers, safetensors; golden.json names the versions)

They are independent of this project's language and compiler: each is an architecture of transformers that examples/*.dsl writes as a
variant of models/llama.dsl. Weights are drawn from a seeded generator and rounded to float32. golden.json has the format of the shared
hf-golden folders: three sequences with all logits and twelve greedy ids.
"""

import base64
import json
from pathlib import Path

import numpy
import torch
import transformers
from safetensors.numpy import save_file
from transformers.models.olmo2 import modeling_olmo2

HERE = Path(__file__).parent


def double_norm(self, x):
    # The library takes the variance in float32.
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


modeling_olmo2.Olmo2RMSNorm.forward = double_norm


def encoded(array):
    data = numpy.ascontiguousarray(array.detach().numpy().astype("<f8"))
    return {"dims": list(data.shape), "dtype": "float64", "base64": base64.b64encode(data.tobytes()).decode()}


def draw(model, generator):
    """Matrices about 1/sqrt(inputs), norm gains 1 + 0.2 n, biases 0.1 n."""
    for name, weight in sorted(model.named_parameters()):
        noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        if name.endswith("bias"):
            value = 0.1 * noise
        elif weight.dim() == 1:
            value = 1 + 0.2 * noise
            if name in ("model.norm.weight", "transformer.norm_f.weight"):
                # Of both signs: else greedy decoding of a model with tied embeddings repeats a token.
                value[::2] *= -1
        else:
            value = 1.5 * noise / weight.shape[-1] ** 0.5
        with torch.no_grad():
            weight.copy_(value.float().double())


def double_rope(model, config):
    """The library keeps inverse frequencies, and the angles' sines and cosines, in float32."""
    rotary = getattr(model.model, "rotary_emb", None) if hasattr(model, "model") else None
    if rotary is None:
        return
    parameters = config.rope_parameters
    width = int(config.hidden_size // config.num_attention_heads * parameters.get("partial_rotary_factor", 1.0))
    inverse = parameters["rope_theta"] ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)

    def forward(x, position_ids, *_, **__):
        angle = position_ids[..., None].double() * inverse
        both = torch.cat((angle, angle), dim=-1)
        return both.cos(), both.sin()

    rotary.forward = forward


def make(folder, seed, model_class, config):
    torch.set_default_dtype(torch.float64)
    model = model_class._from_config(config, attn_implementation="eager").eval().double()
    draw(model, torch.Generator().manual_seed(seed))
    double_rope(model, config)
    # Softmax in float64, also where the library's code asks for float32.
    softmax = torch.nn.functional.softmax
    torch.nn.functional.softmax = lambda x, dim=-1, dtype=None, **_: softmax(x, dim=dim)
    to_single, torch.Tensor.float = torch.Tensor.float, torch.Tensor.double

    def full(ids):
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]

    random = numpy.random.default_rng(seed)
    sequences = []
    for count in (1, 7, 24):
        ids = random.integers(1, config.vocab_size, count).tolist()
        tokens, gap = [], float("inf")
        for _ in range(12):
            best = full(ids + tokens)[-1].topk(2)
            gap = min(gap, (best.values[0] - best.values[1]).item())
            tokens.append(int(best.indices[0]))
        assert gap > 0.01, f"{folder}: a greedy choice is too close ({gap}); take another seed"
        assert len(set(tokens)) > 3, f"{folder}: greedy decoding repeats itself {tokens}"
        sequences.append({"input_ids": ids, "logits": encoded(full(ids)), "greedy": tokens, "greedy_min_gap": gap})

    torch.Tensor.float = to_single
    single = model_class._from_config(config, attn_implementation="eager").eval().float()
    single.load_state_dict({name: value.float() for name, value in model.state_dict().items()})
    torch.nn.functional.softmax = softmax
    torch.set_default_dtype(torch.float32)
    difference = (single(input_ids=torch.tensor([sequences[-1]["input_ids"]])).logits[0].double() - full(sequences[-1]["input_ids"])).abs().max().item()
    assert difference < 1e-4, difference

    out = HERE / folder
    out.mkdir(exist_ok=True)
    tied = config.tie_word_embeddings
    tensors = {name: value.float().numpy() for name, value in model.state_dict().items() if not (tied and name == "lm_head.weight")}
    save_file({name: numpy.ascontiguousarray(value) for name, value in tensors.items()}, out / "model.safetensors")
    written = {**model.config.to_dict(), "architectures": [model_class.__name__], "dtype": "float32"}
    (out / "config.json").write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")
    golden = {
        "format": 1,
        "name": folder,
        "model_class": model_class.__name__,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "seed": seed,
        "computed_in": "float64, eager attention, eval mode; weights are the float32 values of model.safetensors",
        "checks": {"plain_float32_max_abs_diff": difference},
        "sequences": sequences,
    }
    (out / "golden.json").write_text(json.dumps(golden) + "\n")
    print(folder, sum(f.stat().st_size for f in out.iterdir()), difference, [s["greedy"] for s in sequences])


llama_like = dict(hidden_size=32, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=2, intermediate_size=48, vocab_size=64, max_position_embeddings=64)
make("olmo2", 4, transformers.Olmo2ForCausalLM, transformers.Olmo2Config(**llama_like, rms_norm_eps=1e-6, rope_theta=500000.0))
make(
    "parallel_llama",
    6,
    transformers.StableLmForCausalLM,
    transformers.StableLmConfig(**llama_like, use_parallel_residual=True, rope_parameters={"rope_theta": 10000.0, "rope_type": "default", "partial_rotary_factor": 0.5}),
)
make("mpt", 14, transformers.MptForCausalLM, transformers.MptConfig(d_model=32, n_heads=4, n_layers=2, vocab_size=64, max_seq_len=64))
