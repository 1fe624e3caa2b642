"""The config schema: type, range, default and description of every key. Torch-free.

Plain keys are declared here and have defaults. Component keys come from the table of kinds and have
no default: every component a run uses is named in its config.
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
    """Add a key for each of these kinds to a section, after its plain keys."""
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
    """Type and default of a kind's key."""
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
        "phrases.txt",
        min_length=1,
        description="UTF-8 text file, one phrase per line unless layout is text",
    )
    val_fraction: float = Field(0.1, gt=0, lt=1, description="share held out for validation")
    test_fraction: float = Field(0.05, ge=0, lt=1, description="share held out for testing")
    split_seed: int = Field(0, ge=0, description="seed of the train/val/test split")
    overlong: Literal["error", "truncate", "drop"] = Field(
        "error", description="how to handle phrases longer than model.max_seq_len"
    )
    layout: Literal["lines", "packed", "text"] = Field(
        "lines",
        description="lines: one phrase per row; packed: several phrases per row of max_seq_len "
        "tokens, without attention between them; text: the file is one text, cut into chunks of "
        "max_seq_len tokens, with its end held out",
    )

    @property
    def phrases(self) -> str:
        """The units a split consists of and is evaluated by."""
        return "chunks" if self.layout == "text" else "phrases"

    @property
    def rows(self) -> str:
        """What a row of a training batch is."""
        return "rows" if self.layout == "packed" else self.phrases


class TokenizerConfig(Section):
    model_type: Literal["unigram", "bpe", "char"] = Field(
        "unigram", description="SentencePiece algorithm"
    )
    vocab_size: int = Field(
        512, ge=1, le=65536, description="maximum vocabulary size, including 256 byte tokens"
    )


@_with_components(replace(kind, needed=False) for kind in KINDS.values() if kind.in_layers)
class LayerConfig(Section):
    """Overrides of `[model]` for one label of `model.pattern`."""

    mlp_enabled: bool | None = None


@_with_components(_of_section("model"))
class ModelConfig(Section):
    # Upper limits turn a typo into an error instead of an out-of-memory crash.
    d_model: int = Field(128, ge=1, le=65536, description="width of the residual stream")
    n_layers: int = Field(4, ge=1, le=1024, description="number of layers")
    n_heads: int = Field(
        4, ge=1, le=65536, description="attention heads; head_dim is d_model / n_heads"
    )
    max_seq_len: int = Field(
        64,
        ge=2,
        le=2**20,
        description="maximum sequence length in tokens, including the start token",
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout on embeddings and residual branches"
    )
    tie_embeddings: bool = Field(
        True, description="share one matrix between embedding and output head"
    )
    mlp_enabled: bool = Field(True, description="false removes the MLP sublayers")
    pattern: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")], ...] = Field(
        (),
        description="labels repeated over the layers; see [model.layers.LABEL]",
    )
    layers: dict[str, LayerConfig] = Field(
        {}, description="overrides of [model], one table per label in pattern"
    )


@_with_components(_of_section("train"))
class TrainConfig(Section):
    seed: int = Field(
        1, ge=0, le=2**53, description="seed for initialisation, data order, dropout and sampling"
    )
    max_steps: int = Field(1000, ge=1, description="number of optimizer steps")
    batch_size: int = Field(
        32,
        ge=1,
        description="rows per optimizer step: phrases, packed rows or chunks of text, depending on "
        "data.layout",
    )
    grad_accumulation: int = Field(1, ge=1, description="micro-batches per optimizer step")
    learning_rate: float = Field(3e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(
        0.1, ge=0, description="applied to matrices, not to norms, biases or scalars"
    )
    grad_clip: float = Field(1.0, ge=0, description="gradient-norm clip; 0 disables it")
    eval_interval: int = Field(100, ge=1, description="steps between evaluations")
    sample_interval: int = Field(
        200, ge=0, description="steps between samples; 0 disables sampling"
    )
    checkpoint_interval: int = Field(200, ge=1, description="steps between checkpoints")
    device: Annotated[str, AfterValidator(_device)] = Field(
        "auto", description="auto uses a GPU if one is available"
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="bf16 uses autocast with fp32 weights"
    )
    allow_leak: bool = Field(
        False, description="train even if the causality probe finds that tokens see later ones"
    )
    compile: bool = Field(False, description="use torch.compile: slower startup, faster steps")


class EvalConfig(Section):
    max_lines: int = Field(2000, ge=1, description="maximum lines per split in an evaluation")


@_with_components(_of_section("sampling"))
class SamplingConfig(Section):
    max_new_tokens: int = Field(32, ge=1, description="maximum tokens to generate per sample")


@_with_components(_of_section("report"))
class ReportConfig(Section):
    """Its only key is the list of metrics."""


class Config(Section):
    """The complete config of a run."""

    schema_version: Literal[1] = SCHEMA_VERSION
    data: DataConfig = DataConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig
    train: TrainConfig
    eval: EvalConfig = EvalConfig()
    sampling: SamplingConfig
    report: ReportConfig

    def as_data(self) -> dict[str, Any]:
        """Plain data for `config.json`, with every key and option."""
        return self.model_dump(mode="json", exclude_none=True)


SECTIONS: dict[str, type[Section]] = {
    name: info.annotation
    for name, info in Config.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, Section)
}
