"""A positional encoding for each site, in the simplest way, and one that acts on none."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, SequenceInfo, State


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
