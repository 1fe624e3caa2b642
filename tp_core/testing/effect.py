"""The check that no option is ignored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tp_core.interfaces.sequence import SequenceInfo
from tp_core.kernel.kinds import KINDS
from tp_core.testing import callbacks, metrics, optimizers, sampler_runs, schedules
from tp_core.testing.building import learn
from tp_core.testing.cases import Case
from tp_core.testing.forward_passes import difference, stream, training
from tp_core.testing.generators import drawing_from
from tp_core.testing.harness import Harness
from tp_core.testing.inputs import CPU, LENGTH, VOCAB, full_rows, some_tokens
from tp_core.testing.registry import check
from tp_core.testing.results import Finding
from tp_core.testing.state import leaves

_TRACES: dict[str, Callable[[Harness], Mapping[str, object]]] = {
    "sampler": sampler_runs.trace,
    "metric": metrics.trace,
    "optimizer": optimizers.trace,
    "schedule": schedules.trace,
    "callback": callbacks.trace,
}


def _is_varied(case: Case) -> bool:
    return bool(case.variant.option)


@check(*KINDS, when=_is_varied, unvaried=True)
def effect(case: Case) -> Finding:
    """The option changes something: the output, the loss, the gradients, the state, what is learnt.

    With and without it a component starts alike and does the same otherwise, so one bit is enough.
    """
    if case.variant.fault:
        return Finding(fault=case.variant.fault)
    trace = _TRACES.get(case.kind, model_trace)
    with_option, without = trace(case.harness), trace(case.reference)
    if with_option.keys() != without.keys():
        return Finding(measured=math.inf)
    change = max(_change(one, without[name]) for name, one in with_option.items())
    if change == 0:
        return Finding(
            fault=f"nothing changes with {case.variant.text}: use the option, or drop it "
            "(a value that works only beside another is written as an example of both)",
            measured=0.0,
        )
    return Finding(measured=change)


def _change(one: object, other: object) -> float:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        # Bits may differ where a root mean square is dwarfed by something large.
        return difference(one, other) or (0.0 if torch.equal(one, other) else 1e-12)
    return 0.0 if one == other else math.inf


def model_trace(harness: Harness) -> Mapping[str, Tensor]:
    """All that can be observed of a harness's model, by name."""
    model = harness.build_model()
    found: dict[str, Tensor] = {}
    tokens = some_tokens(3)
    packed = SequenceInfo.of_positions(
        torch.arange(LENGTH).remainder(4).expand(3, -1),
        torch.arange(LENGTH).div(4).long().expand(3, -1),
    )
    with torch.no_grad():
        found["logits"] = model(tokens, full_rows(3))[0]
        found["packed"] = model(tokens, packed)[0]
        found["streamed"] = stream(model, tokens, full_rows(3).positions, [4, 1, LENGTH - 5])
        state = model.init_state(3, LENGTH, CPU, torch.float32)
        after = model(tokens, SequenceInfo.of_positions(full_rows(3).positions), state)[1]
    found |= {f"state {name}": value for name, value in leaves(after or {}).items()}
    seq = full_rows(3)
    with training(model), drawing_from(0):
        found["loss"] = model.loss(tokens, (tokens + 1) % VOCAB, seq)
        torch.autograd.backward(found["loss"] + sum(seq.losses.values()))
    found |= {f"auxiliary {name}": value.detach() for name, value in seq.losses.items()}
    for info in model.parameter_infos(1.0, 1.0):
        gradient = info.parameter.grad
        if gradient is not None and bool(gradient.any()):
            found[f"gradient {info.role} {info.name}"] = gradient.clone()
    learn(model)
    with torch.no_grad():
        found["after learning"] = model(tokens, full_rows(3))[0]
    return {name: value.detach() for name, value in found.items()}
