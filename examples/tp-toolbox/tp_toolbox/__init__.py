"""Descriptors only: imported whenever components are listed, so it imports no torch."""

from pydantic import Field

from tp_core import Component, Options, hookimpl


class PartialRmsOptions(Options):
    share: float = Field(
        0.25, gt=0, le=1, description="of the features, from the first", examples=[0.5, 1.0]
    )
    eps: float = Field(1e-6, gt=0, description="added to the mean square", examples=[0.1])


class EtaOptions(Options):
    epsilon: float = Field(
        0.002, gt=0, lt=1, description="highest the threshold gets", examples=[0.2]
    )


@hookimpl
def tp_norms() -> list[Component]:
    return [
        Component(
            name="partial_rms",
            target="tp_toolbox.norm:PartialRms",
            options=PartialRmsOptions,
            summary="Root mean square of the first features, then gain",
            paper="Zhang & Sennrich 2019, pRMSNorm, arXiv:1910.07467",
        )
    ]


@hookimpl
def tp_samplers() -> list[Component]:
    return [
        Component(
            name="eta",
            target="tp_toolbox.sampler:Eta",
            options=EtaOptions,
            summary="Tokens below a threshold go; it is lower where the distribution is flat",
            paper="Hewitt et al. 2022, arXiv:2210.15191",
        )
    ]


@hookimpl
def tp_metrics() -> list[Component]:
    return [
        Component(
            name="openings",
            target="tp_toolbox.metric:Openings",
            summary="Share of samples that begin with a word no earlier sample began with",
        )
    ]
