"""Harnesses: tiny models around one component, with the kit's partners for everything else.

Attentions are tested with every partner encoding that they support, encodings with a partner
attention that offers every site, with and without a window.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tp_core.assembly.builder import Builder
from tp_core.config.components import ResolvedComponent
from tp_core.config.plan import Plan, make_plan
from tp_core.config.read_file import Source
from tp_core.errors import ConfigError
from tp_core.kernel.catalogue import Catalogue
from tp_core.kernel.component import SITES
from tp_core.kernel.kinds import KINDS, LAYER_KINDS
from tp_core.kernel.options import Dims
from tp_core.model.decoder import Decoder
from tp_core.testing.forward_passes import seeded, training
from tp_core.testing.inputs import SIZES, VOCAB, VOCABULARY, full_rows, noise, some_tokens
from tp_core.testing.partners import partner


@dataclass(frozen=True, eq=False)
class Harness:
    """A plan that contains the component of `kind` under test; `label` identifies the harness."""

    kind: str
    label: str
    plan: Plan

    @property
    def resolved(self) -> ResolvedComponent:
        """The component under test."""
        if self.kind in LAYER_KINDS:
            return self.plan.layers[0][self.kind]
        return self.plan.outside[self.kind][0]

    @property
    def dims(self) -> Dims:
        return replace(self.plan.dims, layer_index=0)

    @cached_property
    def model(self) -> Decoder:
        """The model in evaluation mode, with perturbed initial values; must not be changed."""
        return self.build_model()

    @cached_property
    def stochastic(self) -> bool:
        """Whether two passes in training mode differ, because the model draws random numbers."""
        tokens = some_tokens(2)
        with training(self.model), torch.no_grad():
            first, second = (seeded(seed, self.model, tokens, full_rows(2))[0] for seed in (0, 1))
        return not torch.equal(first, second)

    def build_model(self, seed: int = 1, *, moved: bool = True, dropout: float = 0.0) -> Decoder:
        """A new model, in evaluation mode. `moved` adds noise to every parameter, because those
        that start at zero or one would hide what they multiply."""
        model = Decoder(self._with(seed, dropout), VOCAB)
        if moved:
            move(model)
        return model.eval()

    def build_component(self, seed: int = 1, *, moved: bool = True, **dims: int) -> Any:
        """The component under test on its own, built as for layer 0, in evaluation mode."""
        builder = Builder(self._with(seed), VOCAB, VOCABULARY)
        layer = self.plan.layers[0]
        if self.kind == "positional_encoding":
            made = builder.positional_encoding(self.resolved, layer, **dims).component
        else:
            made = builder.build(self.resolved, f"tested.{self.kind}", layer, **dims)
        if isinstance(made, nn.Module):
            if moved:
                move(made)
            made.eval()
        return made

    def _with(self, seed: int, dropout: float = 0.0) -> Plan:
        config = self.plan.config
        config = config.model_copy(
            update={
                "train": config.train.model_copy(update={"seed": seed}),
                "model": config.model.model_copy(update={"dropout": dropout}),
            }
        )
        return replace(self.plan, config=config)


def harnesses(catalogue: Catalogue, kind: str, written: Any) -> list[Harness]:
    """The harnesses of a component, given as a config would write it. Raises `ConfigError`."""
    if kind == "attention":
        first = Harness(kind, "encoding at no site", plan_of(catalogue, attention=written))
        offered = [site for site in SITES if site in first.resolved.options.offers(first.dims)]
        return [first] + [
            Harness(
                kind,
                f"encoding at {site}",
                plan_of(catalogue, attention=written, positional_encoding=partner(f"at_{site}")),
            )
            for site in offered
        ]
    if kind == "positional_encoding":
        window = {"name": partner("minimal"), "window": 3}
        return [
            Harness(kind, "full attention", plan_of(catalogue, positional_encoding=written)),
            Harness(
                kind,
                "attention with a window",
                plan_of(catalogue, positional_encoding=written, attention=window),
            ),
        ]
    rotated = partner("at_rotate")
    if kind == "block":
        changes = {"block": written, "positional_encoding": rotated}
        return [
            Harness(kind, "with MLP", plan_of(catalogue, **changes)),
            Harness(kind, "without MLP", plan_of(catalogue, **changes, mlp_enabled=False)),
        ]
    return [
        Harness(kind, "", plan_of(catalogue, **{kind: written, "positional_encoding": rotated}))
    ]


def plan_of(catalogue: Catalogue, *, mlp_enabled: bool = True, **written: Any) -> Plan:
    """A plan of partners, some of them replaced; lists only contain the replacements.

    Raises `ConfigError` if they don't fit together.
    """
    data: dict[str, dict[str, Any]] = {"model": {**SIZES, "mlp_enabled": mlp_enabled}}
    for name, kind in KINDS.items():
        one = written.get(name, partner("bare" if name == "positional_encoding" else "minimal"))
        if name == "block" and name not in written:
            one = {
                "name": one,
                "start": 1.0,
            }  # gain 1, so that the tested component has full effect
        several = [one] if name in written else []
        data.setdefault(kind.section, {})[kind.key] = several if kind.many else one
    return make_plan(Source(data, Path("conformance"), lambda key: None), (), catalogue)


def modes(harness: Harness) -> Iterator[str]:
    """Put the model in evaluation mode, then in training mode unless that is stochastic."""
    yield "in evaluation"
    if not harness.stochastic:
        with training(harness.model):
            yield "in training"


def move(module: nn.Module) -> None:
    """Add noise to every parameter, the same for parameters of one name and shape.

    Scaled so that every part matters: 1 for embeddings, 0.1 for matrices, 0.3 for others.
    """
    modules = dict(module.named_modules())
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            owner = modules[name.rpartition(".")[0]]
            scale = 1.0 if isinstance(owner, nn.Embedding) else 0.1 if parameter.ndim > 1 else 0.3
            parameter.add_(scale * noise(name, *parameter.shape))


def refusal(error: ConfigError) -> str:
    """Why a plan was rejected, in one line, with the kit's sizes."""
    problems = "; ".join(problem.message for problem in error.problems)
    sizes = ", ".join(f"{name} = {size}" for name, size in SIZES.items())
    return f"rejected at the kit's sizes ({sizes}): {problems}"


def as_written(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A component as written in a config."""
    return {"name": name, **options}
