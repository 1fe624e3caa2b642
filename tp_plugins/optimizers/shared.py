"""What the optimizers here share: parameters as groups, and a step that goes through them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor

from tp_core.interfaces import ParameterInfo


def groups_by_rate(parameters: Iterable[ParameterInfo], **more: Any) -> list[dict[str, Any]]:
    """One group for each learning rate and weight decay among `parameters`; each has `more` too."""
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for info in parameters:
        key = (info.learning_rate, info.weight_decay)
        group = groups.setdefault(key, {"params": [], "lr": key[0], "weight_decay": key[1], **more})
        group["params"].append(info.parameter)
    return list(groups.values())


class OneByOne(torch.optim.Optimizer, ABC):
    """An optimizer that updates each parameter on its own."""

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step on the gradients as they are; with a `closure`, on those it makes."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update(parameter, parameter.grad, self.state[parameter], group)
        return loss

    @abstractmethod
    def update(
        self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        """Change `parameter` and its `state`, which is empty at first, in place."""
