"""Checks of optimizers, on a quadratic bowl over parameters of every role."""

from __future__ import annotations

import io
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tp_core.interfaces.parameters import ParameterInfo
from tp_core.testing.harness import Harness
from tp_core.testing.inputs import noise
from tp_core.testing.registry import harness_check
from tp_core.testing.results import PASSED, Finding, Worst

_SHAPES = {
    "hidden": (6, 4),
    "embedding": (7, 4),
    "head": (7, 4),
    "norm": (4,),
    "bias": (6,),
    "scalar": (),
}
_RATE = 0.03  # a usual rate for none of them in particular; steps are enough for the slow ones
_STEPS = 60

# The share of the squared distance that may be left. 0.14 is the most measured (adamw); slow ones
# get room, and one that doesn't move has 1.
_LEFT = 0.9


class _Bowl:
    """Parameters, one of each role, their targets, and an optimizer over them."""

    def __init__(
        self, harness: Harness, rates: Mapping[str, float] | None = None, decays: bool = False
    ) -> None:
        self.parameters = {
            role: nn.Parameter(noise(f"parameter {role}", *shape))
            for role, shape in _SHAPES.items()
        }
        self.targets = {role: noise(f"target {role}", *s) for role, s in _SHAPES.items()}
        infos = [
            ParameterInfo(
                name=f"some.{role}",
                parameter=parameter,
                role=role,
                learning_rate=(rates or {}).get(role, _RATE),
                weight_decay=0.5 if decays and role in ("hidden", "embedding") else 0.0,
            )
            for role, parameter in self.parameters.items()
        ]
        self.optimizer: torch.optim.Optimizer = harness.build_component().build(infos)

    def distances(self) -> dict[str, float]:
        """How far each parameter is from its target, squared."""
        return {
            role: float((parameter.detach() - self.targets[role]).square().sum())
            for role, parameter in self.parameters.items()
        }

    def values(self) -> dict[str, Tensor]:
        return {role: parameter.detach().clone() for role, parameter in self.parameters.items()}

    def descend(self, steps: int, start: int = 0) -> None:
        """Steps from number `start`, each with a gradient that is a little noisy."""
        for step in range(start, start + steps):
            loss = torch.zeros(())
            for role, parameter in self.parameters.items():
                shift = 0.1 * noise(f"{role} {step}", *parameter.shape)
                loss = loss + (parameter - self.targets[role] + shift).square().sum()
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            self.optimizer.step()


def trace(harness: Harness) -> Mapping[str, Tensor]:
    """Where the parameters are after some steps, decay included."""
    bowl = _Bowl(harness, decays=True)
    bowl.descend(8)
    return bowl.values()


@harness_check("optimizer")
def descends(harness: Harness) -> Finding:
    """Every parameter, whatever its role, comes nearer to the bottom of a quadratic bowl."""
    bowl = _Bowl(harness)
    before = bowl.distances()
    bowl.descend(_STEPS)
    worst = Worst(_LEFT)
    for role, distance in bowl.distances().items():
        worst.add(distance / before[role], f"{role}: the distance left after {_STEPS} steps")
    return worst.finding()


@harness_check("optimizer")
def rates_respected(harness: Harness) -> Finding:
    """Each parameter's learning rate is in its group's `lr`, and at zero it doesn't move.

    The training loop scales `lr` of every group by the schedule.
    """
    bowl = _Bowl(harness, rates={"hidden": 0.0, "norm": 0.0, "bias": 0.001})
    rates = {id(p): group["lr"] for group in bowl.optimizer.param_groups for p in group["params"]}
    before = bowl.values()
    for role, expected in {"hidden": 0.0, "norm": 0.0, "bias": 0.001, "scalar": _RATE}.items():
        if rates.get(id(bowl.parameters[role])) != expected:
            found = rates.get(id(bowl.parameters[role]), "nothing")
            return Finding(fault=f"{role}: learning rate {expected} becomes {found} in its group")
    bowl.descend(3)
    for role in ("hidden", "norm"):
        if not torch.equal(bowl.parameters[role], before[role]):
            return Finding(fault=f"{role}: it moves with learning rate 0")
    for group in bowl.optimizer.param_groups:
        group["lr"] = 0.0
    before = bowl.values()
    bowl.descend(2, start=3)
    for role, parameter in bowl.parameters.items():
        if not torch.equal(parameter, before[role]):
            return Finding(fault=f"{role}: it moves while its group's lr is set to 0")
    return PASSED


@harness_check("optimizer")
def decay_respected(harness: Harness) -> Finding:
    """Weight decay makes those parameters smaller that have it, and doesn't touch the others."""
    without, decayed = _Bowl(harness), _Bowl(harness, decays=True)
    without.descend(20)
    decayed.descend(20)
    for role, parameter in decayed.parameters.items():
        other = without.parameters[role]
        if role in ("hidden", "embedding"):
            if not float(parameter.detach().norm()) < float(other.detach().norm()):
                return Finding(fault=f"{role}: weight_decay = 0.5 doesn't make it smaller")
        elif not torch.equal(parameter, other):
            return Finding(fault=f"{role}: it has no weight decay, and others' changes it")
    return PASSED


@harness_check("optimizer")
def resumes(harness: Harness) -> Finding:
    """Saved and loaded into a new optimizer, it goes on to the same bits. Tolerance 0."""
    whole, begun, resumed = _Bowl(harness), _Bowl(harness), _Bowl(harness)
    whole.descend(10)
    begun.descend(5)
    file = io.BytesIO()
    torch.save(begun.optimizer.state_dict(), file)
    file.seek(0)
    with torch.no_grad():
        for role, value in begun.values().items():
            resumed.parameters[role].copy_(value)
    resumed.optimizer.load_state_dict(torch.load(file, weights_only=True))
    resumed.descend(5, start=5)
    worst = Worst(0.0)
    for role, parameter in resumed.parameters.items():
        worst.add(
            float((parameter - whole.parameters[role]).detach().abs().max()), f"{role}, resumed"
        )
    return worst.finding()
