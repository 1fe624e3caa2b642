"""The kinds of component, in one table with everything the rest of tp needs to know. Torch-free.

Adding a kind takes a row here, its hook in `hookspecs.py`, the code that calls its methods, and the
components themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Methods = Mapping[str, tuple[str, ...]]
"""Method names, each with the arguments that the core offers."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of component.

    - `article`, `words`: its name in a sentence, such as "an MLP".
    - `section`: the config section it belongs to; `many`: its key holds an ordered list.
    - `description`: the description of its key; `needed`: whether the key is required.
    - `in_layers`: part of the model, and can be overridden in `[model.layers.LABEL]`.
    - `sees_sequence`: its output for a token may depend on other tokens.
    - `required`, `optional`: its methods. An encoding has the methods of the sites it declares.
    - `contract`: what its components must guarantee.
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
        """The hook that returns its components."""
        return f"tp_{self.name}s"

    @property
    def methods(self) -> Methods:
        """All methods of its contract."""
        return {**self.required, **self.optional}

    def setting(self, *names: str) -> str:
        """The `--set` argument that selects components: `sampling.samplers=["top_p"]`."""
        listed = ", ".join(f'"{name}"' for name in names)
        return f"{'.'.join(self.place)}={f'[{listed}]' if self.many else names[0]}"


_STATE = ("batch", "capacity", "device", "dtype")

_TABLE = (
    Kind(
        name="positional_encoding",
        words="positional encoding",
        section="model",
        description="how token positions enter the model",
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
        description="how tokens exchange information",
        in_layers=True,
        sees_sequence=True,
        required={"forward": ("x", "seq", "state"), "init_state": _STATE},
        contract=(
            "causal; chunked passes equal one pass; documents don't mix; padding and idle rows "
            "have no effect"
        ),
    ),
    Kind(
        name="norm",
        words="norm",
        section="model",
        description="normalisation in blocks and before the output head",
        in_layers=True,
        required={"forward": ("x",)},
        contract="acts on each token independently",
    ),
    Kind(
        name="mlp",
        article="an",
        words="MLP",
        section="model",
        description="the feed-forward network; optional if mlp_enabled = false",
        needed=False,
        in_layers=True,
        required={"forward": ("x", "seq")},
        contract=(
            "acts on each token independently; adds auxiliary losses with `seq.add_loss`, summed "
            "over valid tokens"
        ),
    ),
    Kind(
        name="block",
        words="block",
        section="model",
        description="how norms and residual connections are arranged",
        in_layers=True,
        sees_sequence=True,
        required={"forward": ("x", "seq", "state")},
        optional={"enter": ("x",), "leave": ("x",)},
        contract=(
            "builds one attention and, if enabled, one MLP; passes the state to the attention"
        ),
    ),
    Kind(
        name="sampler",
        words="sampler",
        section="sampling",
        many=True,
        description="samplers applied to the logits, in order, before a token is drawn",
        required={"__call__": ("logits", "step")},
        optional={"init_state": ("batch", "device"), "accept": ("tokens", "step")},
        contract=(
            "rows are independent; token ids have no meaning unless `uses_ids`; −inf stays −inf; "
            "at least one token stays; all randomness comes from `step.uniform`"
        ),
    ),
    Kind(
        name="metric",
        words="metric",
        section="report",
        many=True,
        description="metrics to compute for reports and the run's summary",
        required={"compute": ("view",)},
        optional={"per_sample": ("view",)},
        contract=(
            "returns JSON data, even for empty input; `per_sample` returns the values that the "
            "means average"
        ),
    ),
    Kind(
        name="optimizer",
        article="an",
        words="optimizer",
        section="train",
        description="how gradients update parameters",
        required={"build": ("parameters",)},
        contract="uses each parameter's `learning_rate` and `weight_decay`",
    ),
    Kind(
        name="schedule",
        words="schedule",
        section="train",
        description="learning-rate schedule",
        required={"factor": ("step", "max_steps")},
        contract="a pure function",
    ),
    Kind(
        name="callback",
        words="callback",
        section="train",
        many=True,
        description="callbacks notified during training, which may act on it",
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
