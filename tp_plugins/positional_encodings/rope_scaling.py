"""The frequencies rotary embedding turns by, and how they are lowered for rows longer than once
trained on. With s = `factor`, D the rotated width and L = `original_max_seq_len`:

    linear    θ_i / s                            (Chen et al. 2023, arXiv:2306.15595)
    ntk       base ← base·s^(D / (D − 2))        (Peng et al. 2023, arXiv:2309.00071, section 3.1)
    llama3    θ_i·(κ_i + (1 − κ_i) / s),  κ_i = (L·θ_i / 2π − low) / (high − low) within 0..1
    yarn      the same, with κ_i falling from 1 to 0 along i         (Peng et al. 2023, section 3)

L·θ_i / 2π is how often pair i turns in a row of length L: pairs that turn often tell neighbours
apart and stay as they are, those that never come round are interpolated. Llama 3.1 blends along
that number (low and high are `low_freq_factor` and `high_freq_factor`). YaRN's paper does too, but
its code, and with it every checkpoint, blends along i: κ_i = 1 up to the pair (rounded down) that
turns `beta_fast` times, 0 from the one (rounded up) that turns `beta_slow` times, a straight line
between. So it is done here. YaRN also sharpens the softmax: queries and keys are multiplied by
0.1·ln(s) + 1, logits thus by its square.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tp_plugins.positional_encodings import RopeOptions


def frequencies(options: RopeOptions, width: int, max_seq_len: int) -> Tensor:
    """θ_i in radians per token, fp64 [width / 2], from fastest to slowest."""
    exponents = torch.arange(0, width, 2, dtype=torch.float64) / width
    base = options.base
    if options.scaling == "ntk":
        base *= options.factor ** (width / (width - 2))
    theta: Tensor = base**-exponents
    if options.scaling in ("linear", "yarn", "llama3"):
        kept = _kept(options, theta, max_seq_len)
        theta = theta * (kept + (1 - kept) / options.factor)
    theta[options.turning(width) :] = 0
    return theta


def attention_factor(options: RopeOptions) -> float:
    """What rotated queries and keys are multiplied by."""
    if options.scaling != "yarn":
        return 1.0
    return options.attention_factor or 0.1 * math.log(options.factor) + 1


def _kept(options: RopeOptions, theta: Tensor, max_seq_len: int) -> Tensor:
    """κ of each pair: 1 where a frequency stays, 0 where it is divided by the factor."""
    if options.scaling == "linear":
        return torch.zeros_like(theta)
    length = options.original_max_seq_len or max_seq_len / options.factor
    if options.scaling == "llama3":
        low, high = options.low_freq_factor, options.high_freq_factor
        return ((length * theta / (2 * math.pi) - low) / (high - low)).clamp(0, 1)

    def pair_turning(times: float) -> float:
        return len(theta) * math.log(length / (times * 2 * math.pi)) / math.log(options.base)

    first = max(math.floor(pair_turning(options.beta_fast)), 0)
    last = min(math.ceil(pair_turning(options.beta_slow)), 2 * len(theta) - 1)
    steps = max(last - first, 0.001)  # where they meet, it is one step
    return 1 - ((torch.arange(len(theta), dtype=torch.float64) - first) / steps).clamp(0, 1)
