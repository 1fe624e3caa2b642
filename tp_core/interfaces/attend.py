"""Scores, masks and softmax, once for every attention that weighs single tokens."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tp_core.interfaces.kv_cache import FEATURES, KVEntries
from tp_core.interfaces.sequence import SequenceInfo, visible


def attend(
    q: Tensor,
    kv: KVEntries,
    seq: SequenceInfo,
    *,
    k: str = "k",
    v: str = "v",
    scale: float | None = None,
    softcap: float | None = None,
    sink: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Weigh the values of the visible keys: [B, H, T, Dv] for queries [B, H, T, Dk].

    `kv[k]` is [B, S, Hk, Dk] and `kv[v]` [B, S, Hk, Dv], with H a multiple of Hk. The order is
    scale·qk → softcap → + bias → score → mask → sink → softmax in fp32 → dropout → ·v, with the
    bias, the score and the window of the cache `kv` is from. `softcap` c squashes logits to
    c·tanh(logit / c); `sink` [H] is the logit of a key without value; `scale` is 1/√Dk where it
    isn't given.
    """
    encoding, window = kv.encoding, kv.window
    k_heads, v_heads = kv[k].transpose(1, 2), kv[v].transpose(1, 2)
    causal_only = seq.causal_only and not kv.cached
    length = q.shape[2]
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    custom = softcap is not None or sink is not None or encoding.scores
    if causal_only and not custom and not encoding.biases and (window is None or window >= length):
        return _fused(q, k_heads, v_heads, scale, dropout, is_causal=True)
    if causal_only:
        # All rows are alike, and pads come after every token: one row's mask serves all.
        index = torch.arange(length, device=q.device)[None]
        row = SequenceInfo(index, torch.zeros_like(index), index >= 0)
        mask = visible(row, index, row.documents, window)
        bias = encoding.bias(index, index)
    else:
        mask = visible(seq, kv.positions, kv.documents, window)
        # A pad sees nothing, and a softmax over nothing is NaN. What it computes is never used.
        mask = mask | ~seq.valid[:, :, None]
        bias = encoding.bias(seq.positions, kv.positions)
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
    if encoding.scores:
        logits = encoding.score(q, logits, kv.query_features, kv.tensors.get(FEATURES), mask)
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
