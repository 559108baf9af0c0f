"""Trains the model that ships with llamac: a small LLaMA on Shakespeare. OUT/best.pt is what export.py turns into files.

    python train.py --text tinyshakespeare.txt --tokenizer tokenizer.json --out OUT [--bf16]

Needs torch (2.9 or newer, for Muon) and tokenizers; a CPU is enough. The text's last tenth is held out: no part of it is trained
on, and the tokenizer must have been trained without it too (`--split` writes both parts and ends). What is kept is the state with
the lowest held-out loss, so that figure is a little optimistic: it chose the moment to stop.

The held-out loss is in nats per character: each token of the held-out text is predicted once, in windows of `context` tokens that
begin every half window (the first one with BOS), from at least half a window of text before it; the sum is divided by characters.
"""

import argparse
import csv
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

# The model.
VOCAB = 1024
EMBED = 192
DEPTH = 5
HEADS = 6
KV_HEADS = 3
FFN = 512
CONTEXT = 256
THETA = 10000.0
NORM_EPS = 1e-5

# The training.
SEED = 1
BATCH = 16
STEPS = 820
WARMUP = 100  # steps from 0 to PEAK_RATE, which stays until the last FALL of the steps, where it falls to 0 along a cosine
PEAK_RATE = 2e-3
FALL = 0.45
DECAY = 0.1
BETAS = (0.9, 0.95)
CLIP = 1.0
DROPOUT = 0.1
SPEECH_SHARE = 0.5  # windows that begin where a speech does, with BOS before it; the others begin anywhere
HELD_OUT = 0.1
EVALUATE_EVERY = 150

BOS = "<|endoftext|>"


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(EMBED))

    def forward(self, x):
        return F.rms_norm(x, (EMBED,), self.weight, NORM_EPS)


def rotate(x, cos, sin):
    """Rotary positions with halves of a head paired, as Hugging Face's LLaMA has them."""
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-high, low), dim=-1) * sin


class Layer(nn.Module):
    """The matrices that read the same vector are one here (`qkv_proj`, `gate_up_proj`), which is faster; export.py takes them apart."""

    def __init__(self):
        super().__init__()
        head = EMBED // HEADS
        self.input_layernorm, self.post_attention_layernorm = Norm(), Norm()
        self.qkv_proj = nn.Linear(EMBED, (HEADS + 2 * KV_HEADS) * head, bias=False)
        self.o_proj = nn.Linear(HEADS * head, EMBED, bias=False)
        self.gate_up_proj = nn.Linear(EMBED, 2 * FFN, bias=False)
        self.down_proj = nn.Linear(FFN, EMBED, bias=False)
        self.drop = nn.Dropout(DROPOUT)

    def forward(self, x, cos, sin):
        batch, length, _ = x.shape
        mixed = self.qkv_proj(self.input_layernorm(x)).view(batch, length, HEADS + 2 * KV_HEADS, -1).transpose(1, 2)
        turned, v = mixed.split((HEADS + KV_HEADS, KV_HEADS), dim=1)
        q, k = rotate(turned, cos, sin).split((HEADS, KV_HEADS), dim=1)
        mix = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + self.drop(self.o_proj(mix.transpose(1, 2).reshape(batch, length, -1)))
        gate, up = self.gate_up_proj(self.post_attention_layernorm(x)).chunk(2, dim=-1)
        return x + self.drop(self.down_proj(F.silu(gate) * up))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCAB, EMBED)
        self.drop = nn.Dropout(DROPOUT)
        self.layers = nn.ModuleList(Layer() for _ in range(DEPTH))
        self.norm = Norm()
        head = EMBED // HEADS
        angles = torch.outer(torch.arange(CONTEXT).double(), THETA ** (-torch.arange(0, head, 2).double() / head))
        angles = torch.cat((angles, angles), dim=-1)
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)
        for name, weight in self.named_parameters():
            if weight.dim() < 2:
                continue
            # What adds to the residual stream begins smaller, so that depth does not widen it (GPT-2).
            narrow = name.endswith(("o_proj.weight", "down_proj.weight"))
            nn.init.normal_(weight, std=0.02 if not narrow else 0.02 / math.sqrt(2 * DEPTH))

    def forward(self, ids):
        length = ids.shape[1]
        x = self.drop(self.embed_tokens(ids))
        for layer in self.layers:
            x = layer(x, self.cos[:length], self.sin[:length])
        return F.linear(self.norm(x), self.embed_tokens.weight)


def split_text(path):
    """The training text and the held-out text, cut at the last speech that begins before the last tenth."""
    text = Path(path).read_text(encoding="utf-8")
    cut = text.rindex("\n\n", 0, round(len(text) * (1 - HELD_OUT))) + 2
    return text[:cut], text[cut:]


def encode(tokenizer, text):
    return torch.tensor(tokenizer.encode(text, add_special_tokens=False).ids)


class Windows:
    """Draws training windows of CONTEXT inputs and the ids that follow each."""

    def __init__(self, tokenizer, text, generator):
        self.generator = generator
        self.bos = tokenizer.token_to_id(BOS)
        self.ids = encode(tokenizer, text)
        line_end = encode(tokenizer, "\n")[0]
        blank = (self.ids[1:-1] == line_end) & (self.ids[:-2] == line_end)
        speeches = torch.cat((torch.tensor([0]), blank.nonzero().flatten() + 2))
        self.speeches = speeches[speeches < len(self.ids) - CONTEXT]

    def draw(self, count):
        speech = torch.rand(count, generator=self.generator) < SPEECH_SHARE
        anywhere = torch.randint(len(self.ids) - CONTEXT - 1, (count,), generator=self.generator)
        begin = self.speeches[torch.randint(len(self.speeches), (count,), generator=self.generator)]
        rows = []
        for at_speech, some, here in zip(speech.tolist(), anywhere.tolist(), begin.tolist()):
            if at_speech:
                rows.append(torch.cat((torch.tensor([self.bos]), self.ids[here : here + CONTEXT])))
            else:
                rows.append(self.ids[some : some + CONTEXT + 1])
        rows = torch.stack(rows)
        return rows[:, :-1], rows[:, 1:]


@torch.no_grad()
def held_out_loss(model, tokenizer, text):
    """Nats per character, as told at the top."""
    model.eval()
    ids = torch.cat((torch.tensor([tokenizer.token_to_id(BOS)]), encode(tokenizer, text)))
    half = CONTEXT // 2
    total = count = 0
    windows = [(at, 0 if at == 0 else half) for at in range(0, max(1, len(ids) - 1 - half), half)]
    full = [w for w in windows if w[0] + CONTEXT < len(ids)]
    groups = [full[i : i + 32] for i in range(0, len(full), 32)] + [[w] for w in windows[len(full) :]]
    for group in groups:
        rows = torch.stack([ids[at : at + CONTEXT + 1] for at, _ in group])
        losses = F.cross_entropy(model(rows[:, :-1]).transpose(1, 2), rows[:, 1:], reduction="none")
        for loss, (_, skip) in zip(losses, group):
            total += loss[skip:].double().sum().item()
            count += len(loss) - skip
    assert count == len(ids) - 1
    model.train()
    return total / len(text)


def learning_rate(step, steps):
    rise = min(1, (step + 1) / WARMUP)
    fallen = max(0, (step - steps * (1 - FALL)) / (steps * FALL))
    return PEAK_RATE * rise * 0.5 * (1 + math.cos(math.pi * fallen))


def train(arguments, tokenizer, out):
    generator = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    training, held_out = split_text(arguments.text)
    windows = Windows(tokenizer, training, generator)
    model = Model()
    # Muon is for matrices between layers (Jordan 2024); its rates are scaled here so that AdamW's fit.
    between = [p for name, p in model.named_parameters() if name.startswith("layers.") and p.dim() == 2]
    gains = [p for p in model.parameters() if p.dim() < 2]
    optimisers = [
        torch.optim.Muon(between, lr=PEAK_RATE, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(
            [{"params": [model.embed_tokens.weight], "weight_decay": DECAY}, {"params": gains, "weight_decay": 0.0}],
            lr=PEAK_RATE, betas=BETAS, fused=True,
        ),
    ]
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{parameters:,} parameters; {len(windows.ids):,} training tokens of {len(training):,} characters", flush=True)
    steps = arguments.steps
    curve = (out / "loss.csv").open("w", newline="")
    writer = csv.writer(curve)
    writer.writerow(["step", "tokens", "training_nats_per_token", "held_out_nats_per_character"])
    began, best, recent = time.time(), math.inf, []
    step = 0
    while True:
        minutes = (time.time() - began) / 60
        if arguments.minutes and steps > step / (1 - FALL) and minutes >= arguments.minutes * (1 - FALL):
            steps = math.ceil(step / (1 - FALL))
            print(f"the rate falls from here: --steps {steps} does the same", flush=True)
        if step % EVALUATE_EVERY == 0 or step == steps:
            held = held_out_loss(model, tokenizer, held_out)
            mean = sum(recent) / len(recent) if recent else float("nan")
            writer.writerow([step, step * BATCH * CONTEXT, f"{mean:.4f}", f"{held:.4f}"])
            curve.flush()
            spent = time.time() - began
            print(f"step {step}: training {mean:.4f}, held out {held:.4f}, {spent:.0f} s", flush=True)
            recent = []
            if held < best:
                best = held
                torch.save(model.state_dict(), out / "best.pt")
        if step == steps:
            break
        for group in (group for each in optimisers for group in each.param_groups):
            group["lr"] = learning_rate(step, steps)
        inputs, targets = windows.draw(BATCH)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.bf16):
            logits = model(inputs)
        loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for each in optimisers:
            each.step()
        recent.append(loss.item())
        step += 1
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True)
    parser.add_argument("--tokenizer")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--minutes", type=float, help="fewer steps, so many that it ends after about this time")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="bfloat16 products while training")
    parser.add_argument("--split", action="store_true", help="only write training.txt and held-out.txt")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    if arguments.split:
        for name, part in zip(("training.txt", "held-out.txt"), split_text(arguments.text)):
            (arguments.out / name).write_text(part, encoding="utf-8")
        return
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(arguments.tokenizer)
    train(arguments, tokenizer, arguments.out)


if __name__ == "__main__":
    main()
