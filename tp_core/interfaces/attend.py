"""Scores, masks and softmax, once for every attention that weighs single tokens."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tp_core.interfaces.cache import Keys
from tp_core.interfaces.positions import Positions
from tp_core.interfaces.sequence import SequenceInfo, visible


def attend(
    q: Tensor,
    keys: Keys,
    seq: SequenceInfo,
    positions: Positions,
    *,
    k: str = "k",
    v: str = "v",
    window: int | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    sink: Tensor | None = None,
    dropout: float = 0.0,
    features: Tensor | None = None,
) -> Tensor:
    """Weigh the values of the visible keys: [B, H, T, Dv] for queries [B, H, T, Dk].

    `keys[k]` is [B, S, Hk, Dk] and `keys[v]` [B, S, Hk, Dv], with H a multiple of Hk. The order is
    scale·qk → softcap → + bias → score → mask → sink → softmax in fp32 → dropout → ·v. `softcap` c
    squashes logits to c·tanh(logit / c); `sink` [H] is the logit of a key without value; `scale` is
    1/√Dk where it isn't given. `features` are this pass's own, for encodings that score; those of
    the keys are cached with them as "features".
    """
    k_heads, v_heads = keys[k].transpose(1, 2), keys[v].transpose(1, 2)
    plain = seq.plain and not keys.cached
    length = q.shape[2]
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    custom = softcap is not None or sink is not None or positions.scores
    if plain and not custom and not positions.biases and (window is None or window >= length):
        return _fused(q, k_heads, v_heads, scale, dropout, is_causal=True)
    if plain:
        # All rows are alike, and pads come after every token: one row's mask serves all.
        index = torch.arange(length, device=q.device)[None]
        row = SequenceInfo(index, torch.zeros_like(index), index >= 0)
        mask = visible(row, index, row.documents, window)
        bias = positions.bias(index, index)
    else:
        mask = visible(seq, keys.positions, keys.documents, window)
        # A pad sees nothing, and a softmax over nothing is NaN. What it computes is never used.
        mask = mask | ~seq.valid[:, :, None]
        bias = positions.bias(seq.positions, keys.positions)
    mask = mask[:, None]
    if not custom:
        seen = mask if bias is None else bias.masked_fill(~mask, -math.inf).to(q.dtype)
        return _fused(q, k_heads, v_heads, scale, dropout, attn_mask=seen)
    groups = q.shape[1] // k_heads.shape[1]
    k_heads = k_heads.repeat_interleave(groups, 1)
    v_heads = v_heads.repeat_interleave(groups, 1)
    logits = (q @ k_heads.transpose(-1, -2)).float() * scale
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    if bias is not None:
        logits = logits + bias
    if positions.scores:
        logits = positions.score(q, logits, features, keys.entries.get("features"), mask)
    logits = logits.masked_fill(~mask, -math.inf)
    if sink is not None:
        column = sink.float()[None, :, None, None].expand(*logits.shape[:3], 1)
        weights = torch.cat([logits, column], -1).softmax(-1)[..., :-1]
    else:
        weights = logits.softmax(-1)
    weights = F.dropout(weights, dropout).to(v_heads.dtype)
    return weights @ v_heads


def _fused(
    q: Tensor, k: Tensor, v: Tensor, scale: float, dropout: float, **causality: Any
) -> Tensor:
    """PyTorch's attention. Its fused kernels want keys and values of one width: zeros fill up the
    narrower, which changes no product."""
    width, out = q.shape[-1], v.shape[-1]
    if width < out:
        q, k = F.pad(q, (0, out - width)), F.pad(k, (0, out - width))
    elif out < width:
        v = F.pad(v, (0, width - out))
    y = F.scaled_dot_product_attention(
        q,
        k,
        v,
        dropout_p=dropout,
        scale=scale,
        enable_gqa=q.shape[1] != k.shape[1],
        **causality,
    )
    return y[..., :out]
