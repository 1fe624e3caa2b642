"""Everything a training needs in memory, built from a plan; nothing is written here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tp_core.config.plan import Plan
from tp_core.config.resolve import Chosen
from tp_core.data.dataset import Dataset, load_dataset
from tp_core.data.layouts import Steps, training_steps
from tp_core.device import Autocast, autocast_for, make_deterministic, pick_device
from tp_core.errors import TpError
from tp_core.interfaces.blame import Built
from tp_core.interfaces.build import Builder, component_error
from tp_core.interfaces.roles import ParameterInfo
from tp_core.model import Decoder
from tp_core.provenance import ComponentRecord, direct_url, source_sha256
from tp_core.sampling import SamplerChain
from tp_core.tokenizer import Tokenizer
from tp_core.training.first_pass import first_pass
from tp_core.training.leak_probe import refuse_leak


@dataclass(frozen=True, eq=False)
class Bench:
    """A plan's data, model, optimizer and the rest, on the device they are used on.

    `built` are the components as built, `leak_probe` what looking for leaks came to.
    """

    plan: Plan
    dataset: Dataset
    device: torch.device
    autocast: Autocast
    model: Decoder
    optimizer: torch.optim.Optimizer
    schedule: Any
    chain: SamplerChain
    metrics: tuple[tuple[Chosen, Any], ...]
    batches: Steps
    built: Built
    leak_probe: str


def open_dataset(plan: Plan, tokenizer: Tokenizer | None = None) -> Dataset:
    """The dataset a plan names, tokenised by a given tokenizer or by one of its own."""
    data, config = plan.config.data, plan.config.tokenizer
    return load_dataset(
        path=Path(data.path),
        val_fraction=data.val_fraction,
        test_fraction=data.test_fraction,
        split_seed=data.split_seed,
        overlong=data.overlong,
        model_type=config.model_type,
        vocab_size=config.vocab_size,
        max_seq_len=plan.config.model.max_seq_len,
        layout=data.layout,
        tokenizer=tokenizer,
    )


def make_bench(plan: Plan, tokenizer: Tokenizer | None = None) -> Bench:
    """Build what a plan names. Raises `TpError` for data or components that can't be used."""
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
    first_pass(model, autocast)
    return Bench(
        plan=plan,
        dataset=dataset,
        device=device,
        autocast=autocast,
        model=model,
        optimizer=optimizer,
        schedule=schedule,
        chain=SamplerChain(plan, vocab_size),
        metrics=metrics,
        batches=steps_of(plan, dataset),
        built=(*model.built, *builder.built),
        leak_probe=refuse_leak(model, plan.components(), allowed=train.allow_leak),
    )


def steps_of(plan: Plan, dataset: Dataset) -> Steps:
    """What each step of a plan's training sees."""
    return training_steps(
        plan.config.data.layout,
        dataset.train,
        batch_size=plan.config.train.batch_size,
        seed=plan.config.train.seed,
        max_seq_len=plan.config.model.max_seq_len,
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


def component_records(plan: Plan) -> list[ComponentRecord]:
    """Where each component of a plan comes from, as a run's provenance keeps it."""
    records = []
    for chosen in plan.components():
        plugin = chosen.registered.plugin
        records.append(
            ComponentRecord(
                kind=chosen.kind,
                name=chosen.name,
                distribution=plugin.distribution,
                version=plugin.version,
                target=chosen.registered.component.target,
                options=chosen.options.model_dump(mode="json"),
                source_sha256=source_sha256(plugin.value.partition(":")[0].partition(".")[0]),
                direct_url=direct_url(plugin.distribution),
            )
        )
    return records
