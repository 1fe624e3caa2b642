"""Optimizers against torch's own, and Lion against its algorithm written out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tp_core.assembly.builder import Builder
from tp_core.config.plan import load_plan
from tp_core.errors import ConfigError
from tp_core.interfaces.parameters import ParameterInfo
from tp_plugins.optimizers import muon

DEFAULT = Path(__file__).parents[2] / "configs" / "default.toml"
STEPS = 12
RATE = 0.02
# Name: role, shape, weight decay. Tall, wide and square matrices, and every other role.
PARAMETERS: Mapping[str, tuple[str, tuple[int, ...], float]] = {
    "tall": ("hidden", (24, 8), 0.5),
    "wide": ("hidden", (8, 20), 0.5),
    "square": ("hidden", (16, 16), 0.0),
    "embedding": ("embedding", (30, 8), 0.5),
    "head": ("head", (30, 8), 0.5),
    "norm": ("norm", (8,), 0.0),
    "bias": ("bias", (24,), 0.0),
    "scalar": ("scalar", (), 0.0),
}
MATRICES = ("tall", "wide", "square")
Values = dict[str, nn.Parameter]


def values(names: Any = PARAMETERS) -> Values:
    generator = torch.Generator().manual_seed(3)
    drawn = {
        name: torch.randn(shape, generator=generator) for name, (_, shape, _) in PARAMETERS.items()
    }
    return {name: nn.Parameter(drawn[name]) for name in names}


def build(written: str, of: Values, rates: Mapping[str, float] | None = None) -> Any:
    plan = load_plan(DEFAULT, [f"train.optimizer={written}"])
    infos = [
        ParameterInfo(n, p, PARAMETERS[n][0], (rates or {}).get(n, RATE), PARAMETERS[n][2])
        for n, p in of.items()
    ]
    return Builder(plan, 32).build(plan.optimizer, "optimizer").build(infos)


def groups(of: Values, rate: float = RATE) -> list[dict[str, Any]]:
    return [{"params": [p], "lr": rate, "weight_decay": PARAMETERS[n][2]} for n, p in of.items()]


def descend(optimizer: Any, of: Values, steps: int = STEPS) -> None:
    """Noisy steps towards values twice as large, under a schedule."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    for step in range(steps):
        for name, parameter in of.items():
            generator = torch.Generator().manual_seed(1000 * step + list(PARAMETERS).index(name))
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.grad = parameter.detach() - 2 * values()[name].detach() + 0.1 * noise
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * (1 - step / steps)
        optimizer.step()
        optimizer.zero_grad()


def distance(ours: Values, theirs: Values) -> float:
    """The largest difference relative to how large a value there is."""
    return max(
        float((ours[name] - p).detach().abs().max() / p.detach().abs().max())
        for name, p in theirs.items()
    )


@pytest.mark.parametrize(
    "options", [{}, {"beta1": 0.7}, {"beta2": 0.8}, {"eps": 0.1}, {"beta1": 0.0, "beta2": 0.0}]
)
def test_adamw_is_torchs(options: dict[str, float]) -> None:
    ours, theirs = values(), values()
    full = {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8, **options}
    descend(build(table("adamw", **full), ours), ours)
    betas = (full["beta1"], full["beta2"])
    descend(torch.optim.AdamW(groups(theirs), betas=betas, eps=full["eps"]), theirs)
    assert distance(ours, theirs) < 1e-6


@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.0}, {"momentum": 0.5}, {"nesterov": True}],
)
def test_sgd_is_torchs(options: dict[str, Any]) -> None:
    ours, theirs = values(), values()
    full = {"momentum": 0.9, "nesterov": False, **options}
    descend(build(table("sgd", **options), ours), ours)
    descend(torch.optim.SGD(groups(theirs), **full), theirs)
    assert distance(ours, theirs) == 0


@pytest.mark.parametrize("options", [{}, {"beta1": 0.5}, {"beta2": 0.5}, {"beta1": 0.0}])
def test_lion_is_its_algorithm(options: dict[str, float]) -> None:
    ours, theirs = values(), values()
    descend(build(table("lion", **options), ours), ours)
    descend(PlainLion(theirs, options.get("beta1", 0.9), options.get("beta2", 0.99)), theirs)
    assert distance(ours, theirs) < 1e-6


class PlainLion:
    """Algorithm 2 of the paper, line by line, in float64."""

    def __init__(self, of: Values, beta1: float, beta2: float) -> None:
        self.param_groups = [{"lr": RATE}]
        self.of, self.beta1, self.beta2 = of, beta1, beta2
        self.momentum = {name: torch.zeros(p.shape, dtype=torch.float64) for name, p in of.items()}
        self.values = {name: p.detach().double() for name, p in of.items()}

    def step(self) -> None:
        for name, parameter in self.of.items():
            assert parameter.grad is not None
            g, theta, m = parameter.grad.double(), self.values[name], self.momentum[name]
            c = self.beta1 * m + (1 - self.beta1) * g
            rate, decay = self.param_groups[0]["lr"], PARAMETERS[name][2]
            self.values[name] = theta - rate * (torch.sign(c) + decay * theta)
            self.momentum[name] = self.beta2 * m + (1 - self.beta2) * g
            with torch.no_grad():
                parameter.copy_(self.values[name])

    def zero_grad(self) -> None:
        pass


def table(name: str, **options: Any) -> str:
    written = {
        key: str(v).lower() if isinstance(v, bool) else repr(v) for key, v in options.items()
    }
    return "{" + ", ".join([f"name='{name}'", *(f"{k}={v}" for k, v in written.items())]) + "}"


MUON_OPTIONS: list[dict[str, Any]] = [
    {},
    {"adjust": "original"},
    {"nesterov": False},
    {"momentum": 0.5},
    {"momentum": 0.0, "nesterov": False},
    {"ns_steps": 2},
    {"ns_steps": 9, "adjust": "original"},
]


def run_muon(options: dict[str, Any]) -> float:
    """How far the matrices are from where torch.optim.Muon takes them."""
    ours, theirs = values(MATRICES), values(MATRICES)
    descend(build(table("muon", **options), ours), ours)
    full = {"momentum": 0.95, "nesterov": True, "ns_steps": 5, "adjust": "match_rms_adamw"}
    full |= options
    full["adjust_lr_fn"] = full.pop("adjust")
    descend(torch.optim.Muon(groups(theirs), **full), theirs)
    return distance(ours, theirs)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim.Muon came with 2.9")
@pytest.mark.parametrize("options", MUON_OPTIONS, ids=str)
def test_muon_is_torchs_in_bf16(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch does it on any device, and this one on a GPU."""
    monkeypatch.setattr(muon, "working_dtype", lambda device: torch.bfloat16)
    assert run_muon(options) < 1e-2  # rounding of what is near 0, over a dozen steps


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim.Muon came with 2.9")
@pytest.mark.parametrize("options", MUON_OPTIONS, ids=str)
def test_muon_is_torchs_in_fp32(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's iteration, kept from rounding to bf16."""
    monkeypatch.setattr(Tensor, "bfloat16", Tensor.clone)
    assert run_muon(options) < 1e-5


def test_orthogonalised_takes_singular_values_through_the_polynomial() -> None:
    torch.manual_seed(0)
    for shape in ((24, 8), (8, 24), (16, 16), (3, 5, 24, 8), (1, 7), (7, 1)):
        x = torch.randn(shape, dtype=torch.float64)
        u, s, vh = torch.linalg.svd(x, full_matrices=False)
        s = s / s.norm(dim=-1, keepdim=True)
        for _ in range(5):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        expected = u @ torch.diag_embed(s) @ vh
        found = muon.orthogonalised(x.float(), 5, torch.float32)
        torch.testing.assert_close(found, expected.float(), atol=2e-5, rtol=1e-5)
        assert ((s > 0.5) & (s < 1.3)).all()
    zero = muon.orthogonalised(torch.zeros(4, 3), 5, torch.float32)
    assert torch.equal(zero, torch.zeros(4, 3))


@pytest.mark.parametrize(
    "options",
    [{}, {"beta1": 0.7}, {"beta2": 0.8}, {"eps": 0.1}, {"adamw_lr_ratio": 0.1}],
)
def test_the_rest_is_torchs_adamw(options: dict[str, float]) -> None:
    ours, theirs = values(), values(name for name in PARAMETERS if name not in MATRICES)
    descend(build(table("muon", **options), ours), ours)
    full = {"beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "adamw_lr_ratio": 1.0, **options}
    betas, rate = (full["beta1"], full["beta2"]), RATE * full["adamw_lr_ratio"]
    descend(torch.optim.AdamW(groups(theirs, rate), betas=betas, eps=full["eps"]), theirs)
    assert distance(ours, theirs) < 1e-6


def test_a_stack_is_many_matrices() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(3, 6, 10), torch.randn(4, 3, 6, 10)
    stack = nn.Parameter(start.clone())
    apart = [nn.Parameter(matrix.clone()) for matrix in start]
    optimizers = [
        build_hidden({"experts": stack}),
        build_hidden({f"expert {i}": matrix for i, matrix in enumerate(apart)}),
    ]
    for gradient in gradients:
        stack.grad = gradient.clone()
        for matrix, own in zip(apart, gradient, strict=True):
            matrix.grad = own.clone()
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(stack.detach(), torch.stack(apart).detach(), atol=1e-6, rtol=1e-6)


def test_a_hidden_vector_goes_to_adamw() -> None:
    vector = nn.Parameter(torch.ones(5))
    optimizer = build_hidden({"vector": vector})
    vector.grad = torch.full((5,), 2.0)
    optimizer.step()
    torch.testing.assert_close(vector.detach(), torch.full((5,), 1 - RATE))  # AdamW's first step


def build_hidden(of: Values) -> Any:
    plan = load_plan(DEFAULT, ["train.optimizer=muon"])
    infos = [ParameterInfo(name, p, "hidden", RATE, 0.0) for name, p in of.items()]
    return Builder(plan, 32).build(plan.optimizer, "optimizer").build(infos)


@pytest.mark.parametrize("name", ["adamw", "muon", "lion", "sgd"])
def test_a_closure_is_run(name: str) -> None:
    of = values(["square"])
    parameter = of["square"]
    optimizer = build(f"'{name}'", of)
    before = parameter.detach().clone()

    def closure() -> float:
        optimizer.zero_grad()
        loss = parameter.square().sum()
        torch.autograd.backward(loss)
        return float(loss.detach())

    assert optimizer.step(closure) == float(before.square().sum())
    assert not torch.equal(parameter.detach(), before)


@pytest.mark.parametrize("name", ["muon", "sgd"])
def test_nesterov_without_momentum_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="nesterov needs momentum above 0"):
        load_plan(DEFAULT, [f"train.optimizer={{name='{name}', nesterov=true, momentum=0.0}}"])
