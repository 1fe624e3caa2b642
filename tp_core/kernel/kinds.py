"""The kinds of component: one table of what the rest of tp must know of each. Torch-free.

Another kind is a row here, its hook in `hookspecs.py`, whatever code its contract needs, and the
components themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Methods = Mapping[str, tuple[str, ...]]
"""Names of methods, and the arguments the core offers to each."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of component.

    - `article`, `words`: how a sentence speaks of one: "an MLP".
    - `section`: where a config names it; `many`: as a list of them, in order.
    - `description`: what its key there is for; `needed`: whether the config must have it.
    - `in_layers`: it is part of the model, and `[model.layers.LABEL]` may name another.
    - `sees_sequence`: what it makes of a token may depend on other tokens.
    - `required`, `optional`: its methods. An encoding has those of the sites it declared.
    - `contract`: what must hold of its components.
    """

    name: str
    article: str = "a"
    words: str
    section: str
    many: bool = False
    description: str
    needed: bool = True
    in_layers: bool = False
    sees_sequence: bool = False
    required: Methods = field(default_factory=dict)
    optional: Methods = field(default_factory=dict)
    contract: str

    @property
    def key(self) -> str:
        """Its key in the section: `norm`, or `samplers` for a list."""
        return f"{self.name}s" if self.many else self.name

    @property
    def place(self) -> tuple[str, str]:
        """Section and key."""
        return self.section, self.key

    @property
    def hook(self) -> str:
        """The hook that brings its components."""
        return f"tp_{self.name}s"

    @property
    def methods(self) -> Methods:
        """Every method of its contract."""
        return {**self.required, **self.optional}

    def setting(self, *names: str) -> str:
        """The `--set` that chooses one, or a list of them: `sampling.samplers=["top_p"]`."""
        listed = ", ".join(f'"{name}"' for name in names)
        return f"{'.'.join(self.place)}={f'[{listed}]' if self.many else names[0]}"


_STATE = ("batch", "capacity", "device", "dtype")

_TABLE = (
    Kind(
        name="positional_encoding",
        words="positional encoding",
        section="model",
        description="how token order enters",
        in_layers=True,
        sees_sequence=True,
        optional={
            "embed": ("x", "seq"),
            "rotate": ("t", "positions", "which"),
            "bias": ("q_pos", "k_pos"),
            "features": ("x", "seq", "state"),
            "score": ("q", "logits", "q_feat", "k_feat", "visible"),
            "init_state": _STATE,
        },
        contract="depends on positions, never on indices into the batch",
    ),
    Kind(
        name="attention",
        article="an",
        words="attention",
        section="model",
        description="how positions exchange information",
        in_layers=True,
        sees_sequence=True,
        required={"forward": ("x", "seq", "state"), "init_state": _STATE},
        contract=(
            "causal; a pass in pieces equals one pass; documents don't mix; pads and idle rows "
            "leave no trace"
        ),
    ),
    Kind(
        name="norm",
        words="norm",
        section="model",
        description="normalisation, in blocks and at the end",
        in_layers=True,
        required={"forward": ("x",)},
        contract="each token on its own",
    ),
    Kind(
        name="mlp",
        article="an",
        words="MLP",
        section="model",
        description="the per-token network; may be left out when mlp_enabled = false",
        needed=False,
        in_layers=True,
        required={"forward": ("x", "seq")},
        contract=(
            "each token on its own; auxiliary losses by `seq.add_loss`, summed over valid tokens"
        ),
    ),
    Kind(
        name="block",
        words="block",
        section="model",
        description="where norms and residual sums stand",
        in_layers=True,
        sees_sequence=True,
        required={"forward": ("x", "seq", "state")},
        optional={"enter": ("x",), "leave": ("x",)},
        contract=(
            "builds one attention, and the MLP where there is one; hands the attention its state"
        ),
    ),
    Kind(
        name="sampler",
        words="sampler",
        section="sampling",
        many=True,
        description="the chain that reshapes logits, in order; a token is drawn at its end",
        required={"__call__": ("logits", "step")},
        optional={"init_state": ("batch", "device"), "accept": ("tokens", "step")},
        contract=(
            "rows don't influence each other; ids are names, unless `uses_ids`; −inf stays −inf; "
            "at least one token stays; randomness from `step.uniform` alone"
        ),
    ),
    Kind(
        name="metric",
        words="metric",
        section="report",
        many=True,
        description="what is measured when training ends",
        required={"compute": ("view",)},
        optional={"per_sample": ("view",)},
        contract=(
            "JSON, also of empty input; what `per_sample` gives is what the means are means of"
        ),
    ),
    Kind(
        name="optimizer",
        article="an",
        words="optimizer",
        section="train",
        description="how gradients change parameters",
        required={"build": ("parameters",)},
        contract="honours each parameter's `learning_rate` and `weight_decay`",
    ),
    Kind(
        name="schedule",
        words="schedule",
        section="train",
        description="how the learning rate moves",
        required={"factor": ("step", "max_steps")},
        contract="pure",
    ),
    Kind(
        name="callback",
        words="callback",
        section="train",
        many=True,
        description="what is told of the training, and may act on it",
        needed=False,
        optional={
            "on_start": ("event",),
            "on_step": ("event",),
            "on_evaluation": ("event",),
            "on_checkpoint": ("event",),
            "on_end": ("event",),
            "should_stop": (),
            "state_dict": (),
            "load_state_dict": ("state",),
        },
        contract=(
            "what it keeps is in its state; it changes nothing, unless `acts = True`, and then "
            "always in the same way"
        ),
    ),
)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _TABLE}
PLACES: Mapping[tuple[str, str], Kind] = {kind.place: kind for kind in _TABLE}
LAYER_KINDS = tuple(kind.name for kind in _TABLE if kind.in_layers)
SEQUENCE_KINDS = tuple(kind.name for kind in _TABLE if kind.sees_sequence)
