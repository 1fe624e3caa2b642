"""Every key of a config: type, range, default and what it does. Torch-free.

Plain keys have defaults and are written out here. Those of components come from the table of kinds;
they have no default: what a run is made of stands in its config.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from tp_core.kernel.kinds import KINDS, Kind
from tp_core.kernel.options import Spec, SpecKind

SCHEMA_VERSION: Final = 1


def _device(name: str) -> str:
    if re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]+)?", name) is None:
        raise ValueError("must be auto, cpu, mps, cuda or cuda:N")
    return name


class Section(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )


Keys = TypeVar("Keys", bound=Section)


def _with_components(kinds: Iterable[Kind]) -> Callable[[type[Keys]], type[Keys]]:
    """Gives a section a key for each of these kinds, after its plain ones."""
    fields: dict[str, Any] = {kind.key: _field(kind) for kind in kinds}

    def extended(plain: type[Keys]) -> type[Keys]:
        return create_model(
            plain.__name__,
            __base__=plain,
            __module__=plain.__module__,
            __doc__=plain.__doc__,
            **fields,
        )

    return extended


def _field(kind: Kind) -> tuple[Any, Any]:
    """Type and default of the key of a kind."""
    one: Any = Annotated[Spec, SpecKind(kind.name)]
    if kind.many:
        default = ... if kind.needed else ()
        return tuple[one, ...], Field(default, description=kind.description)
    if kind.needed:
        return one, Field(description=kind.description)
    return one | None, Field(None, description=kind.description)


def _of_section(name: str) -> list[Kind]:
    return [kind for kind in KINDS.values() if kind.section == name]


class DataConfig(Section):
    path: str = Field(
        "phrases.txt", min_length=1, description="UTF-8 text, one phrase per line (or see layout)"
    )
    val_fraction: float = Field(0.1, gt=0, lt=1, description="share of phrases held out to watch")
    test_fraction: float = Field(0.05, ge=0, lt=1, description="share of phrases never touched")
    split_seed: int = Field(0, ge=0, description="key of the hash that splits the phrases")
    overlong: Literal["error", "truncate", "drop"] = Field(
        "error", description="what to do with a phrase longer than model.max_seq_len"
    )
    layout: Literal["lines", "packed", "text"] = Field(
        "lines",
        description="lines: each phrase is a row of its own; packed: rows of max_seq_len tokens, "
        "each of several phrases that don't see each other; text: the file is one text, cut into "
        "rows of max_seq_len tokens, its end held out",
    )

    @property
    def phrases(self) -> str:
        """What the text of a split consists of, and is evaluated by."""
        return "chunks" if self.layout == "text" else "phrases"

    @property
    def rows(self) -> str:
        """What the rows of a training step are."""
        return "rows" if self.layout == "packed" else self.phrases


class TokenizerConfig(Section):
    model_type: Literal["unigram", "bpe", "char"] = Field(
        "unigram", description="SentencePiece algorithm"
    )
    vocab_size: int = Field(
        512, ge=1, le=65536, description="most pieces the vocabulary may have, 256 bytes included"
    )


@_with_components(replace(kind, needed=False) for kind in KINDS.values() if kind.in_layers)
class LayerConfig(Section):
    """What a label of `model.pattern` sets differently from `[model]`."""

    mlp_enabled: bool | None = None


@_with_components(_of_section("model"))
class ModelConfig(Section):
    # The upper limits are there so that a slip of the finger is an error and not a full memory.
    d_model: int = Field(128, ge=1, le=65536, description="width of the residual stream")
    n_layers: int = Field(4, ge=1, le=1024, description="number of blocks")
    n_heads: int = Field(
        4, ge=1, le=65536, description="attention heads; d_model / n_heads is head_dim"
    )
    max_seq_len: int = Field(
        64, ge=2, le=2**20, description="longest row of tokens, start token included"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="on embeddings and residual branches")
    tie_embeddings: bool = Field(True, description="one matrix embeds tokens and scores them")
    mlp_enabled: bool = Field(True, description="false removes the MLP sublayers")
    pattern: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")], ...] = Field(
        (), description="labels cycled over the layers; [model.layers.LABEL] says what differs"
    )
    layers: dict[str, LayerConfig] = Field({}, description="one table per label of the pattern")


@_with_components(_of_section("train"))
class TrainConfig(Section):
    seed: int = Field(1, ge=0, le=2**53, description="start values, data order, dropout, samples")
    max_steps: int = Field(1000, ge=1, description="optimizer steps")
    batch_size: int = Field(
        32,
        ge=1,
        description="rows per optimizer step: phrases, or with another data.layout packed rows "
        "or chunks of text, which hold max_seq_len tokens",
    )
    grad_accumulation: int = Field(1, ge=1, description="slices a step's rows are cut into")
    learning_rate: float = Field(3e-3, gt=0, description="peak of the schedule")
    weight_decay: float = Field(0.1, ge=0, description="on matrices; not on norms, biases, scalars")
    grad_clip: float = Field(1.0, ge=0, description="largest gradient norm; 0 is no limit")
    eval_interval: int = Field(100, ge=1, description="steps between evaluations")
    sample_interval: int = Field(200, ge=0, description="steps between samples; 0 is never")
    checkpoint_interval: int = Field(200, ge=1, description="steps between checkpoints")
    device: Annotated[str, AfterValidator(_device)] = Field(
        "auto", description="auto takes a GPU if it can"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16 is autocast")
    allow_leak: bool = Field(False, description="train even where the probe saw tokens look ahead")
    compile: bool = Field(False, description="torch.compile the model; a slow start, faster steps")


class EvalConfig(Section):
    max_lines: int = Field(2000, ge=1, description="most lines of a split an evaluation reads")


@_with_components(_of_section("sampling"))
class SamplingConfig(Section):
    max_new_tokens: int = Field(32, ge=1, description="most tokens a sample adds to its prompt")


@_with_components(_of_section("report"))
class ReportConfig(Section):
    """Its one key is the list of metrics."""


class Config(Section):
    """A whole experiment."""

    schema_version: Literal[1] = SCHEMA_VERSION
    data: DataConfig = DataConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig
    train: TrainConfig
    eval: EvalConfig = EvalConfig()
    sampling: SamplingConfig
    report: ReportConfig

    def as_data(self) -> dict[str, Any]:
        """Plain data for `config.json`: every key, every option."""
        return self.model_dump(mode="json", exclude_none=True)


SECTIONS: dict[str, type[Section]] = {
    name: info.annotation
    for name, info in Config.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, Section)
}
