"""The training step against a loop written by hand around the same architecture.

    python benchmarks/step_time.py [--rounds 40]

Both models have the default config's sizes and the same data; their steps are interleaved in one
process, so that whatever else the machine does hits both alike. Prints medians and their ratio
(hand-written / tp: 1 is equal, above 1 tp is the faster one).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tp_core.config.plan import load_plan
from tp_core.data.batches import pad
from tp_core.runs.directory import claim_run
from tp_core.training.session import start
from tp_core.training.setup import make_setup
from tp_core.training.trainer import Trainer

ROOT = Path(__file__).parents[1]


class Block(nn.Module):
    def __init__(self, d: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(d, 1e-6), nn.RMSNorm(d, 1e-6)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.gate, self.up = nn.Linear(d, hidden, bias=False), nn.Linear(d, hidden, bias=False)
        self.down = nn.Linear(hidden, d, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        h = self.norm1(x)
        q, k, v = (
            layer(h).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.o(y.transpose(1, 2).flatten(-2)))
        h = self.norm2(x)
        return x + self.dropout(self.down(F.silu(self.gate(h)) * self.up(h)))


def _rotate(t: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = t.chunk(2, -1)
    return t * cos + torch.cat([-b, a], -1) * sin


class HandWritten(nn.Module):
    def __init__(self, vocab: int, d: int, layers: int, heads: int, length: int, drop: float):
        super().__init__()
        self.embedding = nn.Embedding(vocab, d)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.dropout = nn.Dropout(drop)
        self.blocks = nn.ModuleList(Block(d, heads, round(8 / 3 * d), drop) for _ in range(layers))
        self.norm = nn.RMSNorm(d, 1e-6)
        half = torch.arange(0, d // heads, 2) / (d // heads)
        angles = torch.outer(torch.arange(length), 10000.0**-half)
        self.register_buffer("cos", angles.cos().repeat(1, 2))
        self.register_buffer("sin", angles.sin().repeat(1, 2))

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        x = self.dropout(self.embedding(tokens))
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x, cos, sin)
        logits = F.linear(self.norm(x), self.embedding.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")


def hand_written_step(trainer: Trainer) -> Callable[[int], None]:
    """The same step on the same batches, with nothing around it."""
    setup, config = trainer.setup, trainer.config
    model_config, tokenizer = config.model, setup.dataset.tokenizer
    model = HandWritten(
        tokenizer.vocab_size,
        model_config.d_model,
        model_config.n_layers,
        model_config.n_heads,
        model_config.max_seq_len,
        model_config.dropout,
    )
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def step(index: int) -> None:
        rows = pad(
            setup.dataset.train,
            setup.data_loader.lines_for(index),
            tokenizer.bos_id,
            tokenizer.eos_id,
            tokenizer.pad_id,
        )
        tokens, targets = torch.from_numpy(rows.inputs), torch.from_numpy(rows.targets)
        loss = model(tokens, targets) / rows.n_targets
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = f"data.path={ROOT / 'phrases.txt'}"
    plan = load_plan(ROOT / "configs" / "default.toml", [data, "train.device=cpu"])
    with tempfile.TemporaryDirectory() as directory:
        session = start(make_setup(plan), claim_run(Path(directory), "benchmark"))
        trainer = Trainer(session)
        trainer.setup.model.train()
        by_hand = hand_written_step(trainer)
        ours, theirs = [], []
        for index in range(arguments.rounds + 5):
            began = time.perf_counter()
            by_hand(index)
            between = time.perf_counter()
            trainer.step()
            done = time.perf_counter()
            if index >= 5:
                theirs.append(between - began)
                ours.append(done - between)
        session.close()
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    print(f"threads {arguments.threads}, {arguments.rounds} interleaved steps")
    print(f"hand-written  {statistics.median(theirs) * 1e3:8.2f} ms per step (median)")
    print(f"tp            {statistics.median(ours) * 1e3:8.2f} ms per step (median)")
    print(f"ratio         {statistics.median(ratios):8.3f} of the hand-written speed")


if __name__ == "__main__":
    main()
