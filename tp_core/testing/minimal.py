"""The partners' classes: the least that each contract asks, in the plainest way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from tp_core.interfaces import (
    BuildContext,
    Headline,
    KVCache,
    MetricView,
    ParameterInfo,
    SequenceInfo,
    State,
    attend,
)
from tp_core.testing.partners import AttentionOptions


class Bare:
    """No site."""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        pass


class AtEmbed(nn.Module):
    """x + sin(position · frequencies)"""

    frequencies: Tensor

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.linspace(0.2, 2, ctx.d_model))

    def embed(self, x: Tensor, seq: SequenceInfo) -> Tensor:
        return x + torch.sin(seq.token_positions[..., None] * self.frequencies)


class AtRotate(nn.Module):
    """(a, b) turned by position · frequency, for each pair of neighbouring features."""

    frequencies: Tensor

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.linspace(1, 0.1, ctx.head_dim // 2))

    def rotate(self, t: Tensor, positions: Tensor) -> Tensor:
        pairs = 2 * len(self.frequencies)
        angles = positions[:, None, :, None] * self.frequencies
        a, b = t[..., 0:pairs:2].float(), t[..., 1:pairs:2].float()
        cos, sin = angles.cos(), angles.sin()
        turned = torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)
        return torch.cat([turned.type_as(t), t[..., pairs:]], -1)


class AtBias(nn.Module):
    """−slope_h · (position of the query − position of the key)"""

    slopes: Tensor

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.linspace(0.5, 0.1, ctx.n_heads))

    def bias(self, q_pos: Tensor, k_pos: Tensor) -> Tensor:
        distance = (q_pos[:, None, :, None] - k_pos[:, None, None, :]).float()
        return -self.slopes[:, None, None] * distance


class AtScore(nn.Module):
    """logit(t, s) + Σ of log gate(u) over s < u ≤ t: it depends on data and carries a state."""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__()
        self.gate = ctx.linear(ctx.d_model, ctx.n_heads)

    def init_state(self, batch: int, device: torch.device) -> State:
        return {"total": torch.zeros(batch, self.gate.out_features, device=device)}

    def features(self, x: Tensor, seq: SequenceInfo, state: State | None) -> Tensor:
        log_gates = F.logsigmoid(self.gate(x).float()) * seq.valid[..., None]
        totals = log_gates.cumsum(1)
        if state is not None:
            before = state["total"]
            assert isinstance(before, Tensor)
            totals = totals + before[:, None]
            state["total"] = totals[:, -1]
        return totals

    def score(self, logits: Tensor, q_feat: Tensor, k_feat: Tensor) -> Tensor:
        return logits + q_feat.transpose(1, 2)[..., None] - k_feat.transpose(1, 2)[:, :, None]


class PlainAttention(nn.Module):
    """softmax(q·kᵀ / √Dh)·v through the public helpers."""

    def __init__(self, options: AttentionOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.head_dim = ctx.head_dim
        width = ctx.n_heads * ctx.head_dim
        self.qkv = ctx.linear(ctx.dim, 3 * width)
        self.out = ctx.linear(width, ctx.dim, residual=True)
        self.encoding = ctx.positional_encoding()
        self.cache = KVCache(self.encoding, window=options.window)

    def init_state(
        self, batch: int, capacity: int, device: torch.device, dtype: torch.dtype
    ) -> State:
        return self.cache.init_state(batch, capacity, device, dtype)

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        q, k, v = self.qkv(x).unflatten(-1, (3, -1, self.head_dim)).unbind(2)
        q = self.encoding.rotate(q.transpose(1, 2), seq.token_positions, "q")
        k = self.encoding.rotate(k.transpose(1, 2), seq.token_positions, "k").transpose(1, 2)
        kv = self.cache.append(state, seq, x, k=k, v=v)
        y = attend(q, kv, seq)
        return self.out(y.transpose(1, 2).flatten(-2)), state


class PlainNorm(nn.Module):
    """x / rms(x) · gain"""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(ctx.dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.gain


class PlainMlp(nn.Module):
    """W2·tanh(W1·x)"""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__()
        self.up = ctx.linear(ctx.dim, 2 * ctx.dim)
        self.down = ctx.linear(2 * ctx.dim, ctx.dim, residual=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down(torch.tanh(self.up(x)))
        return y


class PlainBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))"""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        super().__init__()
        self.attention, self.attention_norm = ctx.attention(), ctx.norm()
        self.mlp = ctx.mlp()
        self.mlp_norm = ctx.norm() if self.mlp is not None else None
        self.dropout = nn.Dropout(ctx.dropout)

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        y, state = self.attention(self.attention_norm(x), seq, state)
        x = x + self.dropout(y)
        if self.mlp is not None and self.mlp_norm is not None:
            x = x + self.dropout(self.mlp(self.mlp_norm(x), seq))
        return x, state


class PlainSampler:
    """The logits as they are."""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        pass

    def __call__(self, logits: Tensor) -> Tensor:
        return logits


class PlainMetric:
    """The mean length of the samples."""

    of_samples = True
    headline = (Headline("mean_length", "character", "neither"),)

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        n = len(view.samples)
        return {"mean_length": math.fsum(map(len, view.samples)) / n if n else None}

    def per_sample(self, view: MetricView) -> dict[str, NDArray[np.float64]]:
        return {"mean_length": np.array([float(len(text)) for text in view.samples])}


class PlainOptimizer:
    """θ ← θ − lr·(gradient + decay·θ)"""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        pass

    def build(self, parameters: list[ParameterInfo]) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            [
                {
                    "params": [one.parameter],
                    "lr": one.learning_rate,
                    "weight_decay": one.weight_decay,
                }
                for one in parameters
            ]
        )


class PlainSchedule:
    """1"""

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        pass

    def factor(self) -> float:
        return 1.0
