"""How logits are reshaped before a token is drawn: descriptors."""

from __future__ import annotations

from pydantic import Field

from tp_core import Component, Options, hookimpl


class TemperatureOptions(Options):
    temperature: float = Field(
        1.0, ge=0, description="divides the logits; 0 is greedy", examples=[0.5]
    )


class TopKOptions(Options):
    k: int = Field(50, ge=1, description="how many of the most likely tokens stay", examples=[2])


class TopPOptions(Options):
    p: float = Field(
        0.9,
        gt=0,
        le=1,
        description="least probability mass that stays; 1 keeps all",
        examples=[0.5],
    )


class RepetitionPenaltyOptions(Options):
    penalty: float = Field(
        1.2, gt=0, description="above 1 discourages tokens that occurred; 1 is off", examples=[3.0]
    )


@hookimpl
def tp_samplers() -> list[Component]:
    here = "tp_plugins.samplers"
    return [
        Component(
            name="greedy",
            target=f"{here}.greedy:Greedy",
            summary="Only the most likely token stays",
        ),
        Component(
            name="temperature",
            target=f"{here}.temperature:Temperature",
            options=TemperatureOptions,
            summary="Flattens (> 1) or sharpens (< 1) the distribution",
            paper="Ackley et al. 1985, A learning algorithm for Boltzmann machines",
        ),
        Component(
            name="top_k",
            target=f"{here}.top_k:TopK",
            options=TopKOptions,
            summary="Only the k most likely tokens stay",
            paper="Fan et al. 2018, arXiv:1805.04833",
        ),
        Component(
            name="top_p",
            target=f"{here}.top_p:TopP",
            options=TopPOptions,
            summary="Only the most likely tokens that together reach mass p stay",
            paper="Holtzman et al. 2019, arXiv:1904.09751",
        ),
        Component(
            name="repetition_penalty",
            target=f"{here}.repetition_penalty:RepetitionPenalty",
            options=RepetitionPenaltyOptions,
            summary="Tokens that already stand in the text become less likely",
            paper="Keskar et al. 2019, arXiv:1909.05858",
        ),
    ]
