"""The build context that a component's constructor receives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

from tp_core.interfaces.positional_encoding import PositionalEncoding
from tp_core.interfaces.vocabulary import Vocabulary
from tp_core.kernel.options import Spec


class Assembler(Protocol):
    """Builds the parts of a component, at the component's place in the model."""

    def make(self, spec: Spec[Any], **dims: int) -> Any:
        """The component a spec names."""

    def part(self, kind: str, **dims: int) -> Any:
        """The layer's component of a kind; None for a disabled MLP."""

    def positional_encoding(self, **dims: int) -> PositionalEncoding:
        """The layer's encoding."""


@dataclass(frozen=True)
class BuildContext:
    """Passed to a component's constructor: sizes, and methods that build its parts.

    `dim` is the width of this instance's last axis; `layer_index` is −1 outside the layers.
    `dropout` is the residual dropout: blocks apply it, other components have their own options.
    `vocabulary` describes the token ids for samplers; it is None for other kinds.
    """

    dim: int
    d_model: int
    n_layers: int
    n_heads: int
    head_dim: int
    max_seq_len: int
    vocab_size: int
    layer_index: int
    dropout: float
    _assembler: Assembler
    vocabulary: Vocabulary | None = None

    def linear(
        self, d_in: int, d_out: int, residual: bool = False, *, bias: bool = False
    ) -> nn.Linear:
        """A linear map with the model's initialisation: weights from N(0, 1/d_in), bias zero.

        Set `residual=True` if the output is added to the residual stream: its initial weights are
        scaled by 1/√(2·n_layers), so that the stream's variance doesn't grow with depth (Radford et
        al. 2019, GPT-2).
        """
        layer = nn.Linear(d_in, d_out, bias=bias)
        std = 1 / math.sqrt(d_in)
        nn.init.normal_(layer.weight, std=std / math.sqrt(2 * self.n_layers) if residual else std)
        if bias:
            nn.init.zeros_(layer.bias)
        return layer

    def make(self, spec: Spec[Any], **dims: int) -> Any:
        """Build the component named by an option, for the sizes `dims`."""
        return self._assembler.make(spec, **dims)

    def positional_encoding(self, **dims: int) -> PositionalEncoding:
        """This layer's positional encoding, for heads of `head_dim` or the sizes in `dims`."""
        return self._assembler.positional_encoding(**dims)

    def attention(self) -> Any:
        """This layer's attention: `forward(x, seq, state) -> (y, state)`. For blocks."""
        return self._assembler.part("attention")

    def mlp(self) -> Any:
        """This layer's MLP: `forward(x, seq) -> y`; None if the config disables it."""
        return self._assembler.part("mlp")

    def norm(self, **dims: int) -> Any:
        """A new norm of this layer's kind: `forward(x) -> y`."""
        return self._assembler.part("norm", **dims)
