"""Small models with one component chosen, inputs for them, and how near an oracle must be."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from tp_core.config.plan import load_plan
from tp_core.interfaces import SequenceInfo
from tp_core.model.decoder import Decoder

DEFAULT = Path(__file__).parents[2] / "configs" / "default.toml"
D, H, LAYERS = 24, 3, 2
B, T = 2, 11
# The MLP first of another name, so that options of the default one don't stay.
BASE = (
    *(f"d_model={D}", f"n_heads={H}", f"n_layers={LAYERS}", "max_seq_len=16", "dropout=0.0"),
    *("mlp=gelu", "mlp=swiglu"),
)


def model_of(*sets: str, moved: bool = True) -> Decoder:
    """A model of 2 layers, `sets` being keys of [model]; `moved` takes it away from its start."""
    model = Decoder(load_plan(DEFAULT, [f"model.{text}" for text in (*BASE, *sets)]), 32).eval()
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * moved * torch.randn_like(parameter))
    return model


def harness() -> tuple[Tensor, SequenceInfo]:
    """Activations [B, T, D], and rows that are full."""
    torch.manual_seed(7)
    return torch.randn(B, T, D), SequenceInfo.of_positions(torch.arange(T).expand(B, T))


def agree(ours: Tensor, theirs: Tensor, tolerance: float = 1e-5) -> None:
    """No element further off than `tolerance`, in units of the largest expected one, at least 1."""
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    ours, theirs = ours.detach(), theirs.detach()
    off = float((ours - theirs).abs().max()) / max(1.0, float(theirs.abs().max()))
    assert off <= tolerance, f"off by {off:.2g}"
