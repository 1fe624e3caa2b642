"""Everything a training needs in memory, built from a plan; nothing is written here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tp_core.assembly.attribution import BuiltComponents, component_error
from tp_core.assembly.builder import Builder
from tp_core.config.components import ResolvedComponent
from tp_core.config.plan import Plan
from tp_core.data.dataset import Dataset
from tp_core.data.from_plan import open_data_loader, open_dataset
from tp_core.data.layouts import DataLoader
from tp_core.data.tokenizer import Tokenizer
from tp_core.errors import TpError
from tp_core.evaluation.metrics import labels
from tp_core.generation.sampler_chain import SamplerChain
from tp_core.interfaces.parameters import ParameterInfo
from tp_core.model.decoder import Decoder
from tp_core.model.device import Autocast, autocast_for, make_deterministic, pick_device
from tp_core.training.callbacks import Callback, check_together
from tp_core.training.causality_probe import probe_causality
from tp_core.training.smoke_test import smoke_test


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """A plan's data, model, optimizer and the rest, on the device they are used on.

    `built` are the components as built, `causality_probe` what looking for leaks came to.
    """

    plan: Plan
    dataset: Dataset
    device: torch.device
    autocast: Autocast
    model: Decoder
    optimizer: torch.optim.Optimizer
    schedule: Any
    chain: SamplerChain
    metrics: tuple[tuple[ResolvedComponent, Any], ...]
    data_loader: DataLoader
    callbacks: tuple[Callback, ...]
    built: BuiltComponents
    causality_probe: str


def make_setup(
    plan: Plan, tokenizer: Tokenizer | None = None, callbacks: Sequence[Callback] = ()
) -> TrainingSetup:
    """Build what a plan names; `callbacks` come after its own. Raises `TpError` for data or
    components that can't be used."""
    train = plan.config.train
    device = pick_device(train.device)
    make_deterministic(device)
    dataset = open_dataset(plan, tokenizer)
    vocab_size = dataset.tokenizer.vocab_size
    model = Decoder(plan, vocab_size).to(device)
    autocast = autocast_for(device, train.precision)
    builder = Builder(plan, vocab_size)
    infos = model.parameter_infos(train.learning_rate, train.weight_decay)
    optimizer = make_optimizer(plan, builder, infos)
    schedule = builder.build(plan.schedule, "schedule")
    metrics = tuple((c, builder.build(c, f"metrics.{c.name}")) for c in plan.metrics)
    chosen = plan.outside["callback"]
    named = zip(labels(chosen), chosen, strict=True)
    own = [Callback(name, builder.build(c, f"callbacks.{c.name}")) for name, c in named]
    check_together([*own, *callbacks])
    smoke_test(model, autocast)
    return TrainingSetup(
        plan=plan,
        dataset=dataset,
        device=device,
        autocast=autocast,
        model=model,
        optimizer=optimizer,
        schedule=schedule,
        chain=SamplerChain.of(plan, dataset.tokenizer),
        metrics=metrics,
        callbacks=(*own, *callbacks),
        data_loader=open_data_loader(plan, dataset),
        built=(*model.built, *builder.built),
        causality_probe=probe_causality(model, plan.components(), allowed=train.allow_leak),
    )


def make_optimizer(
    plan: Plan, builder: Builder, infos: list[ParameterInfo]
) -> torch.optim.Optimizer:
    """The plan's optimizer over these parameters, each group's peak learning rate kept with it."""
    component = builder.build(plan.optimizer, "optimizer")
    try:
        optimizer: torch.optim.Optimizer = component.build(infos)
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    except TpError:
        raise
    except Exception as error:
        raise component_error(plan.optimizer, "can't be built", error) from error
    return optimizer
