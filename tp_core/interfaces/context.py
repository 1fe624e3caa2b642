"""What a component's constructor is given: sizes, and makers of what it is built from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

from tp_core.interfaces.positional_encoding import PositionalEncoding
from tp_core.interfaces.vocabulary import Vocabulary
from tp_core.kernel.options import Spec


class Assembler(Protocol):
    """Builds what a component asks for, at that component's place in the model."""

    def make(self, spec: Spec[Any], **dims: int) -> Any:
        """The component a spec names."""

    def part(self, kind: str, **dims: int) -> Any:
        """The layer's component of a kind; None for an MLP that the config removed."""

    def positional_encoding(self, **dims: int) -> PositionalEncoding:
        """The layer's encoding."""


@dataclass(frozen=True)
class BuildContext:
    """What a component's constructor may ask: sizes, and the makers of what it is built from.

    `dim` is the width this instance sees on its last axis; `layer_index` is −1 outside the layers.
    `dropout` is the residual one: blocks apply it, other components have their own option.
    `vocabulary` is what samplers may know of token ids; other kinds have None.
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
        """A linear map under the model's init policy: weights from N(0, 1/d_in), bias zero.

        `residual=True` marks one whose output is added to the residual stream: its start is scaled
        by 1/√(2·n_layers), so that the stream's variance doesn't grow with depth (Radford et al.
        2019, GPT-2).
        """
        layer = nn.Linear(d_in, d_out, bias=bias)
        std = 1 / math.sqrt(d_in)
        nn.init.normal_(layer.weight, std=std / math.sqrt(2 * self.n_layers) if residual else std)
        if bias:
            nn.init.zeros_(layer.bias)
        return layer

    def make(self, spec: Spec[Any], **dims: int) -> Any:
        """Build the component an option names, `dims` being the sizes it should see."""
        return self._assembler.make(spec, **dims)

    def positional_encoding(self, **dims: int) -> PositionalEncoding:
        """This layer's positional encoding, for heads of `head_dim`, or as `dims` say."""
        return self._assembler.positional_encoding(**dims)

    def attention(self) -> Any:
        """This layer's attention: `forward(x, seq, state) -> (y, state)`. For blocks."""
        return self._assembler.part("attention")

    def mlp(self) -> Any:
        """This layer's MLP: `forward(x, seq) -> y`; None where the config removed it."""
        return self._assembler.part("mlp")

    def norm(self, **dims: int) -> Any:
        """A new norm of this layer's kind: `forward(x) -> y`."""
        return self._assembler.part("norm", **dims)
