"""The decoder: tokens in, next-token logits out. What happens between is named by the config."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tp_core.assembly.builder import Builder
from tp_core.assembly.parameter_roles import DECAYED, parameter_roles
from tp_core.config.plan import Plan
from tp_core.errors import TpError
from tp_core.interfaces.parameters import ParameterInfo
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.interfaces.state import State, part
from tp_core.model.loss import cross_entropy

EMBEDDING_STD = 0.02


class Decoder(nn.Module):
    """A decoder-only transformer built from a plan.

    ```python
    model = Decoder(plan, tokenizer.vocab_size)
    logits, _ = model(tokens, SequenceInfo.of_rows(lengths, width))
    ```

    `has_eos`: whether the training data has end tokens. A continuous text has none, and then none
    is drawn when sampling.
    """

    def __init__(self, plan: Plan, vocab_size: int) -> None:
        super().__init__()
        config = plan.config.model
        builder = Builder(plan, vocab_size)
        self.max_seq_len = config.max_seq_len
        self.has_eos = plan.config.data.layout != "text"
        with builder.seeded("embedding"):
            self.embedding = nn.Embedding(vocab_size, config.d_model)
            nn.init.normal_(self.embedding.weight, std=EMBEDDING_STD)
        self.dropout = nn.Dropout(config.dropout)

        # Encodings stand beside the layers, not in them: several layers may share one.
        embeds = "embed" in plan.positional_encoding.registered.component.needs
        self._embed = builder.positional_encoding(plan.positional_encoding) if embeds else None
        self.blocks = nn.ModuleList()
        # A plain list, which registers nothing: these are the attentions inside the blocks.
        self._attentions: list[Any] = []
        for layer in plan.layers:
            built = len(builder.built)
            self.blocks.append(builder.build(layer["block"], f"layers.{layer.index}", layer))
            parts = {chosen.kind: made for made, chosen in builder.built[built:]}
            for kind in ("attention", "mlp") if layer.mlp_enabled else ("attention",):
                if kind not in parts:
                    raise TpError(f"block '{layer['block'].name}' builds no {kind}: ctx.{kind}()")
            self._attentions.append(parts["attention"])
        # Blocks that widen the stream do so over each run of layers with the same block.
        self._entered, self._left = _stretches(plan, self.blocks)
        self.norm = builder.build(plan.norm, "norm")
        self.head: nn.Linear | None = None
        if not config.tie_embeddings:
            with builder.seeded("head"):
                self.head = nn.Linear(config.d_model, vocab_size, bias=False)
                nn.init.normal_(self.head.weight, std=EMBEDDING_STD)
        self.encodings = nn.ModuleDict(
            {name: e for name, e in builder.encodings.items() if isinstance(e, nn.Module)}
        )
        self.built = tuple(builder.built)
        self._norms = [made for made, chosen in self.built if chosen.kind == "norm"]

    def forward(
        self, tokens: Tensor, seq: SequenceInfo, state: State | None = None
    ) -> tuple[Tensor, State | None]:
        """Logits [B, T, V] for the token after each of `tokens` int64 [B, T].

        With a state from `init_state`, `tokens` continue what it has seen, and the state after them
        comes back too. Raises `TpError` for a `seq` that another pass left values in.
        """
        if seq.shared or seq.losses:
            left = ", ".join(map(repr, (*seq.shared, *seq.losses)))
            raise TpError(
                f"this SequenceInfo has values of an earlier pass in it ({left}), which would mix "
                "with those of this one; make a new one for each pass"
            )
        x = self.embedding(tokens)
        if self._embed is not None:
            x = self._embed.component.embed(x, seq)
        x = self.dropout(x)
        after: State = {}
        block: Any
        for index, block in enumerate(self.blocks):
            if index in self._entered:
                x = block.enter(x)
            x, inner = block(x, seq, part(state, str(index)))
            if index in self._left:
                x = block.leave(x)
            if state is not None:
                after[str(index)] = inner
        x = self.norm(x)
        logits = F.linear(x, self.embedding.weight) if self.head is None else self.head(x)
        return logits, after if state is not None else None

    def loss(self, tokens: Tensor, targets: Tensor, seq: SequenceInfo) -> Tensor:
        """Negative log-likelihood of targets [B, T], summed, in nats; an `IGNORED` one
        doesn't count."""
        logits, _ = self(tokens, seq)
        return cross_entropy(logits, targets, "sum")

    def init_state(
        self, batch: int, capacity: int, device: torch.device, dtype: torch.dtype
    ) -> State:
        """An empty state for `batch` rows of at most `capacity` tokens."""
        return {
            str(index): attention.init_state(batch, capacity, device, dtype)
            for index, attention in enumerate(self._attentions)
        }

    def parameter_infos(self, learning_rate: float, weight_decay: float) -> list[ParameterInfo]:
        """Every parameter with its role, as an optimizer component takes them."""
        roles = parameter_roles(self, self._norms, self.head)
        return [
            ParameterInfo(
                name,
                parameter,
                roles[name],
                learning_rate,
                weight_decay if roles[name] in DECAYED else 0.0,
            )
            for name, parameter in self.named_parameters()
        ]


def _stretches(plan: Plan, blocks: nn.ModuleList) -> tuple[frozenset[int], frozenset[int]]:
    """The layers before which a block's `enter` is called, and those after which its `leave` is:
    the first and the last of each run of layers with the same block and options."""
    entered, left = set(), set()
    for _, run in groupby(plan.layers, key=lambda layer: layer["block"].spec):
        first, *others = run
        block = blocks[first.index]
        has = [hasattr(block, name) for name in ("enter", "leave")]
        if any(has) and not all(has):
            raise TpError(
                f"block '{first['block'].name}' has one of enter() and leave() without the other"
            )
        if all(has):
            entered.add(first.index)
            left.add([first, *others][-1].index)
    return frozenset(entered), frozenset(left)
