"""Gated delta rule (Yang, Kautz & Hatamizadeh 2024, Gated DeltaNet, arXiv:2412.06464, section 3).

    S_t = α_t·S_{t−1}·(I − β_t·k_t·k_tᵀ) + β_t·v_t·k_tᵀ,    o_t = S_t·q_t / √Dh
    y_t = [norm(o_t) ⊙ silu(Wg·x_t)]·Wo,    norm: root mean square over one head's features

S maps keys to values. β_t = σ(Wβ·x_t) is how much of what S recalls for k_t gives way to v_t, and
α_t how much of everything is kept: α_t = exp(−A·softplus(Wα·x_t + b)), A and b learned per head (Gu
& Dao 2024, Mamba-2, arXiv:2405.21060). q, k and v are linear maps of x, convolved over the last
`conv_width` tokens feature by feature, through SiLU; q and k are then brought to length 1.

A single token takes a step of the recurrence. More are cut into chunks, whose steps become matrix
products (section 3.3; Yang et al. 2024, arXiv:2406.06484). Within a chunk that starts from S, with
Γ_i = Π_{l≤i} α_l and D_ij = Π_{j<l≤i} α_l, what token i writes for its key is u_i, of the system

    u_i + β_i·Σ_{j<i} D_ij·(k_i·k_j)·u_j = β_i·(v_i − Γ_i·S·k_i)

and o_i·√Dh = Γ_i·S·q_i + Σ_{j≤i} D_ij·(q_i·k_j)·u_j. Between documents, Γ and D are 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, SequenceInfo, State, without_autocast
from tp_plugins.attentions import GatedDeltaOptions

CHUNK = 64


class GatedDelta(nn.Module):
    """Keeps n_heads · head_dim² numbers, and q, k and v of the last `conv_width` − 1 tokens."""

    def __init__(self, options: GatedDeltaOptions, ctx: BuildContext) -> None:
        super().__init__()
        self.n_heads, self.head_dim = ctx.n_heads, ctx.head_dim
        self.width, self.lags = ctx.n_heads * ctx.head_dim, options.conv_width - 1
        self.q = ctx.linear(ctx.dim, self.width)
        self.k = ctx.linear(ctx.dim, self.width)
        self.v = ctx.linear(ctx.dim, self.width)
        self.beta = ctx.linear(ctx.dim, ctx.n_heads)
        self.alpha = ctx.linear(ctx.dim, ctx.n_heads)
        self.gate = ctx.linear(ctx.dim, self.width)
        self.out = ctx.linear(self.width, ctx.dim, residual=True)
        self.norm = nn.RMSNorm(ctx.head_dim, eps=1e-5)
        # As Mamba-2 starts: A between 1 and 16, and softplus(b) between 0.001 and 0.1.
        self.log_a = nn.Parameter(torch.empty(ctx.n_heads).uniform_(1, 16).log())
        pace = torch.empty(ctx.n_heads).uniform_(math.log(0.001), math.log(0.1)).exp()
        self.alpha_shift = nn.Parameter(pace.expm1().log())
        self.conv: nn.Parameter | None = None
        if self.lags:
            bound = 1 / math.sqrt(options.conv_width)
            weight = torch.empty(options.conv_width, 3 * self.width).uniform_(-bound, bound)
            self.conv = nn.Parameter(weight)

    def roles(self) -> dict[str, str]:
        """Filters are a few numbers per feature, not a matrix between two spaces."""
        return {"conv": "scalar"} if self.lags else {}

    def init_state(self, batch: int, capacity: int, device: torch.device) -> State:
        """Nothing seen, of no document."""
        h, d = self.n_heads, self.head_dim
        return {
            "matrix": torch.zeros(batch, h, d, d, device=device),
            "recent": torch.zeros(batch, self.lags, 3 * self.width, device=device),
            "document": torch.full((batch,), -1, dtype=torch.int64, device=device),
        }

    def forward(
        self, x: Tensor, seq: SequenceInfo, state: State | None
    ) -> tuple[Tensor, State | None]:
        """x [B, T, D] -> y [B, T, D], and the state after it; all sums over time are in fp32."""
        if seq.causal_only and state is None:
            return self._tokens(x, None, None)
        if x.shape[1] == 1:
            return self._tokens(x, Rows.of(seq.documents, seq.valid, state), state)
        # Pads go to the end of each row, where nothing comes after them.
        order = (~seq.valid).to(torch.uint8).argsort(dim=1, stable=True)
        rows = Rows.of(seq.documents.gather(1, order), seq.valid.gather(1, order), state)
        y, state = self._tokens(x.take_along_dim(order[..., None], 1), rows, state)
        return y.take_along_dim(order.argsort(1)[..., None], 1), state

    def _tokens(
        self, x: Tensor, rows: Rows | None, state: State | None
    ) -> tuple[Tensor, State | None]:
        """`forward` for tokens without gaps; with no `rows`, one document from its start."""
        qkv = torch.cat([self.q(x), self.k(x), self.v(x)], -1)
        beta, alpha, gate = self.beta(x), self.alpha(x), self.gate(x)
        with without_autocast(x):
            beta = torch.sigmoid(beta.float())
            log_alpha = -self.log_a.exp() * F.softplus(alpha.float() + self.alpha_shift)
            if rows is not None:
                beta = beta.masked_fill(~rows.valid[..., None], 0.0)
                log_alpha = log_alpha.masked_fill(~rows.valid[..., None], 0.0)
            qkv, recent = self._convolved(qkv.float(), rows, state)
            heads = torch.unflatten(F.silu(qkv), -1, (3, -1, self.head_dim))
            q, k, v = heads.transpose(1, 3).unbind(2)
            q, k = _unit(q) / math.sqrt(self.head_dim), _unit(k)
            per_head = (q, k, v, beta.transpose(1, 2), log_alpha.transpose(1, 2))
            matrix = None if state is None else _tensor(state, "matrix")
            if x.shape[1] == 1 and rows is not None and matrix is not None:
                o, matrix = step(*per_head, rows, matrix)
            else:
                o, matrix = chunked(*per_head, rows, matrix)
            y = self.norm(o.transpose(1, 2)) * F.silu(
                gate.float().unflatten(-1, (-1, self.head_dim))
            )
        if rows is not None and matrix is not None:
            state = {"matrix": matrix, "recent": recent, "document": rows.last}
        return self.out(y.flatten(-2).to(x.dtype)), state

    def _convolved(
        self, qkv: Tensor, rows: Rows | None, state: State | None
    ) -> tuple[Tensor, Tensor]:
        """Each feature of [B, T, C] filtered over time within its document, and what to keep."""
        before = qkv.new_zeros(len(qkv), self.lags, qkv.shape[-1])
        if state is not None:
            before = _tensor(state, "recent")
        if self.conv is None:
            return qkv, before
        length, taken = qkv.shape[1], torch.cat([before, qkv], 1)
        if rows is None:
            lagged = [taken[:, lag : lag + length] for lag in range(self.lags)]
        else:
            documents = torch.cat([rows.before[:, None].expand(-1, self.lags), rows.documents], 1)
            lagged = [
                taken[:, lag : lag + length].masked_fill(
                    (documents[:, lag : lag + length] != rows.documents)[..., None], 0.0
                )
                for lag in range(self.lags)
            ]
            # The last tokens of a row, those of its last document; the others count as zeros.
            index = rows.count[:, None] + torch.arange(self.lags, device=qkv.device)
            recent = taken.take_along_dim(index[..., None], 1)
            other = documents.gather(1, index) != rows.last[:, None]
            before = recent.masked_fill(other[..., None], 0.0)
        out = self.conv[-1] * qkv
        for weight, earlier in zip(self.conv[:-1], lagged, strict=True):
            out = torch.addcmul(out, weight, earlier)
        return out, before


@dataclass(frozen=True)
class Rows:
    """What documents a pass holds, its pads moved to the end of each row.

    `documents` int64 [B, T], where pads count on in the last one; `valid` bool [B, T]; `count` [B]
    tokens; `before` and `last` [B], the documents the state was of and is of after these tokens.
    """

    documents: Tensor
    valid: Tensor
    count: Tensor
    before: Tensor
    last: Tensor

    @classmethod
    def of(cls, documents: Tensor, valid: Tensor, state: State | None) -> Rows:
        nothing = torch.full_like(documents[:, 0], -1)
        before = nothing if state is None else _tensor(state, "document")
        count = valid.sum(1)
        last = documents.gather(1, (count - 1).clamp(min=0)[:, None])[:, 0]
        last = torch.where(count > 0, last, before)
        return cls(torch.where(valid, documents, last[:, None]), valid, count, before, last)


def step(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, log_alpha: Tensor, rows: Rows, matrix: Tensor
) -> tuple[Tensor, Tensor]:
    """One token of the recurrence: q, k, v [B, H, 1, d], beta and log_alpha [B, H, 1].

    `matrix` [B, H, d, d] is Sᵀ, so that keys multiply it from the left. Returns o [B, H, 1, d] and
    the matrix after it.
    """
    kept = log_alpha.exp() * (rows.last == rows.before)[:, None, None]
    matrix = kept[..., None] * matrix
    matrix = matrix + k.transpose(-1, -2) * (beta[..., None] * (v - k @ matrix))
    return q @ matrix, matrix


def chunked(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    log_alpha: Tensor,
    rows: Rows | None = None,
    matrix: Tensor | None = None,
    size: int = CHUNK,
) -> tuple[Tensor, Tensor | None]:
    """`step` for any number of tokens T, in chunks of `size`; the matrix comes back if it came in.

    Every chunk takes the matrix before it to an affine image of it, so that what is left to do one
    chunk after the other is a product of two d x d matrices.
    """
    length = q.shape[2]
    size = min(size, length)
    missing = -length % size
    q, k, v = (torch.unflatten(F.pad(t, (0, 0, 0, missing)), 2, (-1, size)) for t in (q, k, v))
    beta, log_alpha = (
        torch.unflatten(F.pad(t, (0, missing)), 2, (-1, size)) for t in (beta, log_alpha)
    )
    seen = torch.ones(size, size, dtype=torch.bool, device=q.device).tril()
    # Summed for each pair: a difference of two long sums is inexact where little is kept.
    between = log_alpha[..., None].expand(*log_alpha.shape, size).masked_fill(~seen.tril(-1), 0.0)
    reach = log_alpha.cumsum(-1).exp()
    if rows is not None:
        ends = rows.last[:, None].expand(-1, missing)
        documents = torch.cat([rows.documents, ends], 1)
        documents = torch.unflatten(documents, 1, (-1, size))[:, None]
        carried = torch.cat([rows.before[:, None, None], documents[:, :, :-1, -1]], 2)
        reach = reach.masked_fill(documents != carried[..., None], 0.0)
        seen = seen & (documents[..., :, None] == documents[..., None, :])
    decay = between.cumsum(-2).exp().masked_fill(~seen, 0.0)
    beta = beta[..., None]
    system, weights = beta * (k @ k.transpose(-1, -2)) * decay, q @ k.transpose(-1, -2) * decay
    if matrix is None and q.shape[2] == 1:
        return (weights @ _solved(system, beta * v))[:, :, 0], None

    # Of what is written: a part of its own, and what is taken off for each row of the matrix.
    reach = reach[..., None]
    own, off = _solved(system, torch.cat([beta * v, beta * reach * k], -1)).chunk(2, -1)
    writing = (decay[..., -1, :, None] * k).transpose(-1, -2)
    image = reach[..., -1:, :] * torch.eye(k.shape[-1], device=k.device) - writing @ off
    added = writing @ own
    last = torch.zeros_like(added[:, :, 0]) if matrix is None else matrix
    starts = []
    for chunk in range(q.shape[2]):
        starts.append(last)
        last = added[:, :, chunk] + image[:, :, chunk] @ last
    o = weights @ own + (reach * q - weights @ off) @ torch.stack(starts, 2)
    return o.flatten(2, 3)[:, :, :length], None if matrix is None else last


def _solved(system: Tensor, right: Tensor) -> Tensor:
    """u of u_i + Σ_{j<i} system_ij·u_j = right_i."""
    found: Tensor = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)
    return found


def _unit(t: Tensor) -> Tensor:
    return t * torch.rsqrt(t.square().sum(-1, keepdim=True) + 1e-6)


def _tensor(state: State, name: str) -> Tensor:
    value = state[name]
    assert isinstance(value, Tensor)
    return value
