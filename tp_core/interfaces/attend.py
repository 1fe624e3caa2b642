"""Scores, masks and softmax, once for every attention that weighs single tokens."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tp_core.interfaces.kv_cache import FEATURES, KVEntries
from tp_core.interfaces.recording import record, recording
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.interfaces.visibility import visible


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
    encoding, window, length = kv.encoding, kv.window, q.shape[2]
    k_heads, v_heads = kv[k].transpose(1, 2), kv[v].transpose(1, 2)
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    by_index = seq.causal_only and not kv.cached
    custom = softcap is not None or sink is not None or encoding.scores
    if recording():
        with torch.no_grad():
            mask, bias = _mask_and_bias(kv, seq, length, by_index)
            weights = _weights(q, k_heads, kv, mask, bias, scale, softcap, sink)
            record("attention_entropy", _entropy(weights, seq))
    if by_index and not custom and not encoding.biases and (window is None or window >= length):
        return _fused(q, k_heads, v_heads, scale, dropout, is_causal=True)
    mask, bias = _mask_and_bias(kv, seq, length, by_index)
    if not custom:
        seen = mask if bias is None else bias.masked_fill(~mask, -math.inf).to(q.dtype)
        return _fused(q, k_heads, v_heads, scale, dropout, attn_mask=seen)
    weights = _weights(q, k_heads, kv, mask, bias, scale, softcap, sink)
    weights = F.dropout(weights, dropout).to(v_heads.dtype)
    return weights @ v_heads.repeat_interleave(q.shape[1] // v_heads.shape[1], 1)


def _mask_and_bias(
    kv: KVEntries, seq: SequenceInfo, length: int, by_index: bool
) -> tuple[Tensor, Tensor | None]:
    """Which keys each query sees, bool [B or 1, 1, T, S], and the encoding's bias on them."""
    if by_index:
        # All rows are alike, and pads come after every token: one row's mask serves all.
        index = torch.arange(length, device=seq.positions.device)[None]
        row = SequenceInfo(index, torch.zeros_like(index), index >= 0)
        mask = visible(row, index, row.documents, kv.window)
        return mask[:, None], kv.encoding.bias(index, index)
    mask = visible(seq, kv.positions, kv.documents, kv.window)
    # A pad sees nothing, and a softmax over nothing is NaN. What it computes is never used.
    mask = mask | ~seq.valid[:, :, None]
    return mask[:, None], kv.encoding.bias(seq.positions, kv.positions)


def _weights(
    q: Tensor,
    k_heads: Tensor,
    kv: KVEntries,
    mask: Tensor,
    bias: Tensor | None,
    scale: float,
    softcap: float | None,
    sink: Tensor | None,
) -> Tensor:
    """The softmax over the visible keys, fp32 [B, H, T, S]."""
    k_heads = k_heads.repeat_interleave(q.shape[1] // k_heads.shape[1], 1)
    logits = (q @ k_heads.transpose(-1, -2)).float() * scale
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    if bias is not None:
        logits = logits + bias
    if kv.encoding.scores:
        features = kv.tensors.get(FEATURES)
        logits = kv.encoding.score(q, logits, kv.query_features, features, mask)
    logits = logits.masked_fill(~mask, -math.inf)
    if sink is None:
        return logits.softmax(-1)
    column = sink.float()[None, :, None, None].expand(*logits.shape[:3], 1)
    return torch.cat([logits, column], -1).softmax(-1)[..., :-1]


def _entropy(weights: Tensor, seq: SequenceInfo) -> Tensor:
    """The mean entropy of the weights, in nats, over the heads and the queries that are tokens."""
    entropy: Tensor = torch.special.entr(weights).sum(-1).mean(1)
    return entropy[seq.valid].mean()


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
