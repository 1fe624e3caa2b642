"""What a training would be: its layers, parameters, tokens per step, and roughly its memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from tp_core.assembly.builder import Builder
from tp_core.config.plan import Plan
from tp_core.data.from_plan import open_data_loader, open_dataset
from tp_core.data.layouts import DataLoader
from tp_core.errors import TpError
from tp_core.interfaces.parameters import ParameterInfo
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.kernel.kinds import LAYER_KINDS
from tp_core.model.decoder import Decoder
from tp_core.model.device import pick_device
from tp_core.training.setup import make_optimizer

_SAMPLED_STEPS = 20


def describe(plan: Plan) -> str:
    """A readable page about a plan. Reads (and caches) its data; writes nothing else."""
    train = plan.config.train
    device = pick_device(train.device)
    dataset = open_dataset(plan)
    model = _without_data(plan, dataset.tokenizer.vocab_size)
    infos = model.parameter_infos(train.learning_rate, train.weight_decay)
    total = sum(info.parameter.numel() for info in infos)
    decayed = sum(info.parameter.numel() for info in infos if info.weight_decay)
    data = plan.config.data
    loader = open_data_loader(plan, dataset)
    tokens, places, width = _tokens_per_step(plan, loader)
    rows = -(-train.batch_size // train.grad_accumulation)
    epochs = train.max_steps / loader.steps_per_epoch
    n = train.grad_accumulation
    micro_batches = f"{n} micro-batch{'es' if n > 1 else ''}"
    weights = 4 * total
    optimizer = _optimizer_bytes(plan, dataset.tokenizer.vocab_size, infos)
    activations = _activation_bytes(model, rows, width, packed=data.layout == "packed")
    held = activations if isinstance(activations, int) else 0
    shown = _mib(activations) if isinstance(activations, int) else f"unknown ({activations})"
    lines = [
        *_layer_table(plan, model),
        "",
        f"parameters       {total:,} ({decayed:,} with weight decay), "
        f"vocabulary {dataset.tokenizer.vocab_size}",
        f"data             {len(dataset.train):,} {data.phrases} to learn from, "
        f"{len(dataset.val):,} to validate, {len(dataset.test):,} untouched",
        f"steps            {train.max_steps:,}, of {train.batch_size} {data.rows} in "
        f"{micro_batches}; {epochs:.1f} epochs",
        f"tokens per step  {tokens:,.0f} ({tokens / places:.0%} of {places:,.0f} places, "
        "the rest is padding)",
        f"memory           about {_mib(2 * weights + optimizer + held)} on {device}: weights and "
        f"gradients {_mib(2 * weights)}, optimizer {_mib(optimizer)}, activations {shown}",
    ]
    return "\n".join(lines) + "\n"


def _without_data(plan: Plan, vocab_size: int) -> Decoder:
    """The model with shapes alone, so that one of any size can be looked at."""
    try:
        with torch.device("meta"):
            return Decoder(plan, vocab_size)
    except TpError:
        # A constructor may need real numbers. One that fails on them too says so here.
        return Decoder(plan, vocab_size).to("meta")


def _layer_table(plan: Plan, model: Decoder) -> Iterable[str]:
    kinds = [kind.rpartition("_")[2] for kind in LAYER_KINDS]
    head = ("layer", "pattern", *kinds, "parameters")
    rows: list[tuple[str, ...]] = [head]
    for layer, block in zip(plan.layers, model.blocks, strict=True):
        names = [layer[k].name if k != "mlp" or layer.mlp_enabled else "-" for k in LAYER_KINDS]
        count = sum(p.numel() for p in block.parameters())
        rows.append((str(layer.index), layer.label or "-", *names, f"{count:,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _tokens_per_step(plan: Plan, loader: DataLoader) -> tuple[float, float, int]:
    """Over the first steps: mean tokens, mean places with padding, and the widest micro-batch."""
    tokens, places, widest = [], [], 0
    for step in range(min(_SAMPLED_STEPS, loader.steps_per_epoch)):
        rows = loader.micro_batches(step, plan.config.train.grad_accumulation)
        tokens.append(sum(one.n_targets for one in rows))
        places.append(sum(one.inputs.size for one in rows))
        widest = max(widest, *(one.inputs.shape[1] for one in rows))
    return float(np.mean(tokens)), float(np.mean(places)), widest


def _optimizer_bytes(plan: Plan, vocab_size: int, infos: list[ParameterInfo]) -> int:
    """What the optimizer keeps, from a step on parameters of the same roles, 4 to a side."""
    small = [
        ParameterInfo(
            info.name,
            nn.Parameter(torch.zeros([4] * info.parameter.ndim)),
            info.role,
            info.learning_rate,
            info.weight_decay,
        )
        for info in infos
    ]
    optimizer = make_optimizer(plan, Builder(plan, vocab_size), small)
    for info in small:
        info.parameter.grad = torch.zeros_like(info.parameter)
    optimizer.step()
    total = 0.0
    for info, real in zip(small, infos, strict=True):
        kept = optimizer.state[info.parameter].values()
        held = sum(v.numel() * v.element_size() for v in kept if isinstance(v, Tensor) and v.ndim)
        total += held / max(1, info.parameter.numel()) * real.parameter.numel()
    return int(total)


def _activation_bytes(model: Decoder, rows: int, width: int, *, packed: bool) -> int | str:
    """What a micro-batch's forward pass keeps for the backward pass, counted without data.

    Counted in fp32, so with bf16 it is an upper bound. A component that needs real numbers to run
    can't be counted; then the reason comes back.
    """
    own = {p.untyped_storage()._cdata for p in [*model.parameters(), *model.buffers()]}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = tensor
        return tensor

    meta = torch.device("meta")
    try:
        tokens = torch.zeros(rows, width, dtype=torch.int64, device=meta)
        seq = SequenceInfo.of_rows(tokens[:, 0], width)
        if packed:
            seq = SequenceInfo.of_positions(tokens)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            model.train().loss(tokens, tokens, seq)
    except Exception as error:
        return f"{type(error).__name__} on tensors without data"
    return sum(t.untyped_storage().nbytes() for t in kept.values())


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.0f} MiB"
