"""How the layers of a model in training are doing, in `health.jsonl`.

Every `every` steps a line for each layer (null for what stands outside the layers):

- `grad_norm`, by role: the norm of the gradients, as clipped;
- `update_ratio`, by role: the norm of what the step changed, relative to that of the weights (about
  1e-3 is usual for Adam);
- `activation_rms`: the root mean square of what the block hands on;
- `attention_entropy`: of the weights over the keys, in nats, averaged over heads and queries; null
  for an attention that has no such weights.

With `train.compile` the last two are null: compiled code doesn't stop to be looked at.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from tp_core.interfaces import BuildContext, EndEvent, StartEvent, StepEvent, listen
from tp_plugins.callbacks import HealthOptions

Group = tuple[int | None, str]  # a layer and a role


class Health:
    reads_model = True
    files = ("health.jsonl",)

    def __init__(self, options: HealthOptions, ctx: BuildContext) -> None:
        self.every = options.every
        self.handles: list[Any] = []

    def on_start(self, event: StartEvent) -> None:
        assert event.access is not None
        self.model = cast(Any, event.access.model)
        self.optimizer = event.access.optimizer
        self.path = event.path / "health.jsonl"
        self.groups: dict[Group, list[nn.Parameter]] = defaultdict(list)
        for info in self.model.parameter_infos(0.0, 0.0):
            self.groups[_layer_of(info.name), info.role].append(info.parameter)
        _forget_after(self.path, event.step)
        self._look_at(event.step + 1)

    def on_step(self, event: StepEvent) -> None:
        if self.handles:
            self._stop_looking()
            with self.path.open("a", encoding="utf-8") as file:
                for line in self._lines(event.step):
                    file.write(json.dumps(line) + "\n")
        self._look_at(event.step + 1)

    def on_end(self, event: EndEvent) -> None:
        self._stop_looking()

    def _look_at(self, step: int) -> None:
        """Attach to the model and the optimizer, if this step is one to be measured."""
        if step % self.every:
            return
        self.squares: dict[int, list[Tensor]] = defaultdict(list)
        self.entropies: dict[int, list[Tensor]] = defaultdict(list)
        self.grad_norms: dict[Group, float] = {}
        self.ratios: dict[Group, float] = {}
        self.layer = -1
        for index, block in enumerate(self.model.blocks):
            self.handles += [
                block.register_forward_pre_hook(lambda *_, index=index: self._enter(index)),
                block.register_forward_hook(self._leave),
            ]
        self.handles += [
            self.optimizer.register_step_pre_hook(self._before_update),
            self.optimizer.register_step_post_hook(self._after_update),
        ]
        listen(self._hear)

    def _stop_looking(self) -> None:
        listen(None)
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def _enter(self, index: int) -> None:
        self.layer = index

    def _leave(self, block: nn.Module, inputs: Any, output: Any) -> None:
        if block.training:
            self.squares[self.layer].append(output[0].detach().float().square().mean())

    def _hear(self, name: str, value: Tensor) -> None:
        if name == "attention_entropy" and self.model.training:
            self.entropies[self.layer].append(value)

    @torch.no_grad()
    def _before_update(self, *_: Any) -> None:
        self.before = {
            group: [parameter.clone() for parameter in parameters]
            for group, parameters in self.groups.items()
        }
        for group, parameters in self.groups.items():
            self.grad_norms[group] = _norm([p.grad for p in parameters if p.grad is not None])

    @torch.no_grad()
    def _after_update(self, *_: Any) -> None:
        for group, parameters in self.groups.items():
            before = self.before[group]
            change = _norm([after - old for after, old in zip(parameters, before, strict=True)])
            size = _norm(before)
            self.ratios[group] = change / size if size else math.nan
        del self.before

    def _lines(self, step: int) -> list[dict[str, Any]]:
        lines = []
        for layer in [*range(len(self.model.blocks)), None]:
            roles = [role for at, role in self.groups if at == layer]
            squares, entropies = (
                values[layer] if layer is not None else []
                for values in (self.squares, self.entropies)
            )
            lines.append(
                {
                    "step": step,
                    "layer": layer,
                    "grad_norm": {role: self.grad_norms[layer, role] for role in roles},
                    "update_ratio": {role: _known(self.ratios[layer, role]) for role in roles},
                    "activation_rms": _mean(squares, root=True),
                    "attention_entropy": _mean(entropies),
                }
            )
        return lines


def _layer_of(name: str) -> int | None:
    head, _, rest = name.partition(".")
    return int(rest.partition(".")[0]) if head == "blocks" else None


def _norm(tensors: list[Tensor]) -> float:
    return float(torch.stack([t.float().norm() for t in tensors]).norm()) if tensors else 0.0


def _mean(values: list[Tensor], *, root: bool = False) -> float | None:
    if not values:
        return None
    mean = float(torch.stack(values).mean())
    return math.sqrt(mean) if root else mean


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _forget_after(path: Path, step: int) -> None:
    """Leave out what a run wrote after the checkpoint it is resumed from."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        path.write_text("".join(kept), encoding="utf-8")
