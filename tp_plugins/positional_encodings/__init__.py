"""How token order enters the model: descriptors."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, floor
from typing import Literal

from pydantic import Field

from tp_core import Component, Dims, Options, hookimpl


class RopeOptions(Options):
    base: float = Field(
        10000.0, gt=1, description="wavelengths range from 2π to 2π·base tokens", examples=[100.0]
    )
    fraction: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of head_dim to rotate, starting from the first feature",
        examples=[0.5],
    )
    p: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of frequencies to rotate, highest first",
        examples=[0.5],
    )
    layout: Literal["half", "interleaved"] = Field(
        "half",
        description="how features are paired: across halves (Llama) or with neighbours (GPT-J)",
    )
    scaling: Literal["none", "linear", "ntk", "yarn", "llama3"] = Field(
        "none", description="frequency scaling to extend the context length"
    )
    factor: float = Field(
        8.0,
        gt=1,
        description="context extension factor, used by every scaling",
        examples=[{"factor": 2.0, "scaling": "linear"}],
    )
    original_max_seq_len: int | None = Field(
        None,
        ge=1,
        description="yarn, llama3: original context length; null is max_seq_len / factor",
        examples=[{"original_max_seq_len": 64, "scaling": "llama3"}],
    )
    beta_fast: float = Field(
        32.0,
        gt=0,
        description="yarn: keep frequencies with more turns per original context",
        examples=[{"beta_fast": 2.0, "scaling": "yarn", "original_max_seq_len": 1000}],
    )
    beta_slow: float = Field(
        1.0,
        gt=0,
        description="yarn: divide frequencies with fewer turns by factor",
        examples=[{"beta_slow": 8.0, "scaling": "yarn", "original_max_seq_len": 1000}],
    )
    attention_factor: float | None = Field(
        None,
        gt=0,
        description="yarn: scale of rotated features; null is 0.1·ln(factor) + 1",
        examples=[{"attention_factor": 2.0, "scaling": "yarn"}],
    )
    low_freq_factor: float = Field(
        1.0,
        gt=0,
        description="llama3: divide frequencies with fewer turns by factor",
        examples=[{"low_freq_factor": 0.5, "scaling": "llama3"}],
    )
    high_freq_factor: float = Field(
        4.0,
        gt=0,
        description="llama3: keep frequencies with more turns per original context",
        examples=[{"high_freq_factor": 8.0, "scaling": "llama3"}],
    )

    def rotated_width(self, head_dim: int) -> int:
        """How many features of a head are rotated."""
        return floor(self.fraction * head_dim + 1e-9)

    def turning(self, width: int) -> int:
        """How many of the width / 2 frequencies turn."""
        return floor(self.p * (width // 2) + 1e-9)

    def problems(self, dims: Dims) -> Iterable[str]:
        for name, scalings in _SCALING_OPTIONS.items():
            default = type(self).model_fields[name].default
            if self.scaling not in scalings and getattr(self, name) != default:
                users = " or ".join(scalings)
                yield f"{name} is for scaling = {users}: with {self.scaling} it has no effect"
        if self.scaling == "yarn" and self.beta_slow >= self.beta_fast:
            yield f"beta_slow = {self.beta_slow} must be less than beta_fast = {self.beta_fast}"
        if self.scaling == "llama3" and self.low_freq_factor >= self.high_freq_factor:
            low, high = self.low_freq_factor, self.high_freq_factor
            yield f"low_freq_factor = {low} must be less than high_freq_factor = {high}"
        width = self.rotated_width(dims.head_dim)
        part = "the rotated part of head_dim must be even"
        if self.fraction == 1 and width % 2:
            yield f"rotates pairs of features, so head_dim must be even, not {dims.head_dim}"
        elif width % 2 or not width:
            yield f"{part} and at least 2: fraction = {self.fraction} of {dims.head_dim} is {width}"
        elif not self.turning(width):
            least = 2 * ceil(1 / self.p - 1e-9)
            yield f"with p = {self.p} {part} and at least {least}, not {width}, or nothing turns"
        elif self.scaling == "ntk" and width < 4:
            yield f"with scaling = ntk {part} and at least 4, not {width}"


# Which scalings use an option: with another one it would be ignored.
_SCALING_OPTIONS = {
    "factor": ("linear", "ntk", "yarn", "llama3"),
    "original_max_seq_len": ("yarn", "llama3"),
    "beta_fast": ("yarn",),
    "beta_slow": ("yarn",),
    "attention_factor": ("yarn",),
    "low_freq_factor": ("llama3",),
    "high_freq_factor": ("llama3",),
}


class XposOptions(Options):
    base: float = Field(
        10000.0, gt=1, description="wavelengths range from 2π to 2π·base tokens", examples=[100.0]
    )
    scale_base: float = Field(
        512.0,
        gt=0,
        description="distance in tokens at which the fastest pair decays to 2/7",
        examples=[32.0],
    )

    def problems(self, dims: Dims) -> Iterable[str]:
        if dims.head_dim % 2:
            yield f"rotates pairs of features, so head_dim must be even, not {dims.head_dim}"
        # Scales reach 3.5^±(max_seq_len / 2 / scale_base), and gradients multiply two of them.
        if dims.max_seq_len > 32 * self.scale_base:
            yield (
                f"max_seq_len = {dims.max_seq_len} is more than 32 · scale_base = "
                f"{32 * self.scale_base:g}: scales would leave the range of numbers"
            )


class SinusoidalOptions(Options):
    base: float = Field(
        10000.0, gt=1, description="wavelengths range from 2π to 2π·base tokens", examples=[100.0]
    )


class T5Options(Options):
    n_buckets: int = Field(
        32,
        ge=2,
        description="number of buckets per head; half hold a single distance each",
        examples=[8],
    )
    max_distance: int = Field(
        128,
        ge=2,
        description="distances from here on share the last bucket",
        examples=[{"max_distance": 16, "n_buckets": 8}],
    )

    def problems(self, dims: Dims) -> Iterable[str]:
        if self.max_distance <= self.n_buckets // 2:
            yield (
                f"max_distance = {self.max_distance} must be more than n_buckets / 2 = "
                f"{self.n_buckets // 2}, up to where each distance has a value of its own"
            )


class FireOptions(Options):
    hidden: int = Field(32, ge=1, description="width of the MLP's hidden layer", examples=[8])
    c: float = Field(
        0.1,
        gt=0,
        description="initial c; larger values resolve short distances better",
        examples=[1.0],
    )
    threshold: float = Field(
        512.0,
        gt=0,
        description="initial L; up to this position, distances are not relative",
        examples=[4.0],
    )


class CopeOptions(Options):
    npos_max: int = Field(
        64,
        ge=2,
        description="number of position embeddings; counts are capped at npos_max - 1",
        examples=[3],
    )


class FoxOptions(Options):
    start: float = Field(
        3.0, description="initial bias of the forget gate; 3 forgets 5 % per token", examples=[0.0]
    )


@hookimpl
def tp_positional_encodings() -> list[Component]:
    here = "tp_plugins.positional_encodings"
    return [
        Component(
            name="none",
            target=f"{here}.none:NoEncoding",
            summary="No positional encoding: order comes from the causal mask alone",
            paper="Kazemnejad et al. 2023, arXiv:2305.19466",
        ),
        Component(
            name="learned",
            target=f"{here}.learned:Learned",
            summary="A learned vector per position, added to the embedding",
            needs=("embed",),
            paper="Gehring et al. 2017, arXiv:1705.03122",
        ),
        Component(
            name="rope",
            target=f"{here}.rope:Rope",
            options=RopeOptions,
            summary="Rotates queries and keys by angles proportional to their positions",
            needs=("rotate",),
            paper="Su et al. 2021, arXiv:2104.09864",
        ),
        Component(
            name="xpos",
            target=f"{here}.xpos:Xpos",
            options=XposOptions,
            summary="Rotary encoding with exponential decay over distance",
            needs=("rotate",),
            paper="Sun et al. 2022, arXiv:2212.10554",
        ),
        Component(
            name="sinusoidal",
            target=f"{here}.sinusoidal:Sinusoidal",
            options=SinusoidalOptions,
            summary="Fixed sines and cosines of the position, added to the embedding",
            needs=("embed",),
            paper="Vaswani et al. 2017, arXiv:1706.03762",
        ),
        Component(
            name="alibi",
            target=f"{here}.alibi:Alibi",
            summary="Penalty on the logits that grows linearly with distance, per head",
            needs=("bias",),
            paper="Press et al. 2021, arXiv:2108.12409",
        ),
        Component(
            name="t5",
            target=f"{here}.t5:T5",
            options=T5Options,
            summary="Learned bias per head and distance bucket",
            needs=("bias",),
            paper="Raffel et al. 2019, arXiv:1910.10683",
        ),
        Component(
            name="kerple",
            target=f"{here}.kerple:Kerple",
            summary="Learned penalty per head that grows with the logarithm of the distance",
            needs=("bias",),
            paper="Chi et al. 2022, arXiv:2205.09921",
        ),
        Component(
            name="fire",
            target=f"{here}.fire:Fire",
            options=FireOptions,
            summary="Bias from a small MLP of the distance relative to the query's position",
            needs=("bias",),
            paper="Li et al. 2023, arXiv:2310.04418",
        ),
        Component(
            name="cope",
            target=f"{here}.cope:Cope",
            options=CopeOptions,
            summary="Contextual positions: counts tokens selected by a learned gate",
            needs=("score",),
            paper="Golovneva et al. 2024, arXiv:2405.18719",
        ),
        Component(
            name="fox",
            target=f"{here}.fox:Fox",
            options=FoxOptions,
            summary="Learned forget gate that lowers the logits of older keys",
            needs=("score",),
            paper="Lin et al. 2025, arXiv:2503.02130",
        ),
    ]
