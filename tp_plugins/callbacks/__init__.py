"""The built-in callbacks: what watches a training, or decides when it ends. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from tp_core import Component, Dims, Options, hookimpl


class EarlyStoppingOptions(Options):
    patience: int = Field(
        5, ge=1, description="evaluations without improvement before it stops", examples=[1]
    )
    min_delta: float = Field(
        0.0, ge=0, description="smallest decrease that counts as one, in nats", examples=[10.0]
    )

    def problems(self, dims: Dims) -> Iterable[str]:
        if dims.eval_interval > dims.max_steps:
            yield (
                f"there is nothing to go by: eval_interval = {dims.eval_interval} is longer than "
                f"the training, max_steps = {dims.max_steps}"
            )


class EmaOptions(Options):
    decay: float = Field(
        0.999, gt=0, lt=1, description="share of the average kept at each step", examples=[0.5]
    )


class TensorboardOptions(Options):
    every: int = Field(10, ge=1, description="steps between two points", examples=[1])


class HealthOptions(Options):
    every: int = Field(50, ge=1, description="steps between two measurements", examples=[1])


@hookimpl
def tp_callbacks() -> list[Component]:
    return [
        Component(
            name="early_stopping",
            target="tp_plugins.callbacks.early_stopping:EarlyStopping",
            options=EarlyStoppingOptions,
            summary="Stops when the validation loss no longer improves",
            paper="Prechelt 1998, Early Stopping - But When?",
        ),
        Component(
            name="ema",
            target="tp_plugins.callbacks.ema:Ema",
            options=EmaOptions,
            summary="Evaluates and saves an exponential moving average of the weights",
            paper="Polyak & Juditsky 1992",
        ),
        Component(
            name="health",
            target="tp_plugins.callbacks.health:Health",
            options=HealthOptions,
            summary="Writes gradient norms, update ratios and activations per layer",
            paper="after Zhai et al. 2023, arXiv:2303.06296",
        ),
        Component(
            name="tensorboard",
            target="tp_plugins.callbacks.tensorboard:Tensorboard",
            options=TensorboardOptions,
            summary="Writes curves for TensorBoard",
            paper="Abadi et al. 2016, arXiv:1603.04467",
        ),
    ]
