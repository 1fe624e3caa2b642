"""Descriptors of the samplers."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from tp_core import Component, Dims, Options, hookimpl


class TemperatureOptions(Options):
    temperature: float = Field(
        1.0, ge=0, description="divides the logits; 0 is greedy decoding", examples=[0.5]
    )


class TopKOptions(Options):
    k: int = Field(50, ge=1, description="number of most likely tokens to keep", examples=[2])


class TopPOptions(Options):
    p: float = Field(
        0.9,
        gt=0,
        le=1,
        description="probability mass to keep; 1 keeps all tokens",
        examples=[0.5],
    )


class MinPOptions(Options):
    p: float = Field(
        0.1,
        ge=0,
        le=1,
        description="minimum probability relative to the most likely token; 0 keeps all",
        examples=[0.5],
    )


class TypicalOptions(Options):
    p: float = Field(
        0.95,
        gt=0,
        le=1,
        description="probability mass to keep, most typical tokens first; 1 keeps all",
        examples=[0.5],
    )


class TopNSigmaOptions(Options):
    n: float = Field(
        1.0,
        gt=0,
        description="standard deviations below the largest logit to keep",
        examples=[0.5],
    )


class MirostatOptions(Options):
    tau: float = Field(3.0, gt=0, description="target surprise, in bits per token", examples=[0.5])
    eta: float = Field(
        0.1, gt=0, description="learning rate of the surprise correction", examples=[0.5]
    )


class XtcOptions(Options):
    threshold: float = Field(
        0.1,
        gt=0,
        le=0.5,
        description="minimum probability of a top choice",
        examples=[0.05],
    )
    probability: float = Field(
        0.5,
        ge=0,
        le=1,
        description="probability of excluding top choices; 0 disables it",
        examples=[0.9],
    )


class RepetitionPenaltyOptions(Options):
    penalty: float = Field(
        1.2,
        gt=0,
        description="values above 1 discourage repeated tokens; 1 disables it",
        examples=[3.0],
    )


class FrequencyPenaltyOptions(Options):
    penalty: float = Field(
        0.5,
        ge=-2,
        le=2,
        description="subtracted from a logit for each time its token was generated; 0 disables it",
        examples=[2.0, -1.0],
    )


class PresencePenaltyOptions(Options):
    penalty: float = Field(
        0.5,
        ge=-2,
        le=2,
        description="subtracted from the logits of generated tokens; 0 disables it",
        examples=[2.0, -1.0],
    )


class DryOptions(Options):
    multiplier: float = Field(
        0.8,
        ge=0,
        description="penalty for the shortest penalised repeat; 0 disables it",
        examples=[2.0],
    )
    base: float = Field(
        1.75,
        ge=1,
        description="growth of the penalty per additional repeated token",
        examples=[1.2],
    )
    allowed_length: int = Field(
        2, ge=1, description="longest repeat without a penalty, in tokens", examples=[1, 3]
    )


class NoRepeatNgramOptions(Options):
    n: int = Field(
        3, ge=1, description="length of n-grams that may occur only once", examples=[1, 2]
    )


class MinNewTokensOptions(Options):
    n: int = Field(
        10,
        ge=0,
        description="minimum tokens before the end token is allowed; 0 disables it",
        examples=[1],
    )


class AllowedTextOptions(Options):
    pattern: str = Field(
        description="regular expression that the whole generated text must match",
        examples=["[a-j ]*", "(the )?[0-9]+"],
    )

    def problems(self, dims: Dims) -> Iterable[str]:
        import regex

        try:
            regex.compile(self.pattern)
        except regex.error as error:
            yield f"pattern = {self.pattern!r} is not a valid regular expression: {error}"


@hookimpl
def tp_samplers() -> list[Component]:
    here = "tp_plugins.samplers"
    return [
        Component(
            name="greedy",
            target=f"{here}.greedy:Greedy",
            summary="Keeps only the most likely token",
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
            summary="Keeps the k most likely tokens",
            paper="Fan et al. 2018, arXiv:1805.04833",
        ),
        Component(
            name="top_p",
            target=f"{here}.top_p:TopP",
            options=TopPOptions,
            summary="Nucleus sampling: keeps the most likely tokens up to total probability p",
            paper="Holtzman et al. 2019, arXiv:1904.09751",
        ),
        Component(
            name="min_p",
            target=f"{here}.min_p:MinP",
            options=MinPOptions,
            summary="Keeps tokens at least p times as likely as the most likely one",
            paper="Nguyen et al. 2024, arXiv:2407.01082",
        ),
        Component(
            name="typical",
            target=f"{here}.typical:Typical",
            options=TypicalOptions,
            summary="Keeps tokens with surprise closest to the entropy, up to total probability p",
            paper="Meister et al. 2022, arXiv:2202.00666",
        ),
        Component(
            name="top_n_sigma",
            target=f"{here}.top_n_sigma:TopNSigma",
            options=TopNSigmaOptions,
            summary="Keeps tokens within n standard deviations of the largest logit",
            paper="Tang et al. 2024, arXiv:2411.07641",
        ),
        Component(
            name="mirostat",
            target=f"{here}.mirostat:Mirostat",
            options=MirostatOptions,
            summary="Adapts a cutoff so that the mean surprise of the text approaches tau",
            paper="Basu et al. 2020, arXiv:2007.14966, version 2",
        ),
        Component(
            name="xtc",
            target=f"{here}.xtc:Xtc",
            options=XtcOptions,
            summary="Exclude top choices: randomly drops all top choices but the least likely",
            paper="p-e-w 2024, text-generation-webui #6335",
        ),
        Component(
            name="repetition_penalty",
            target=f"{here}.repetition_penalty:RepetitionPenalty",
            options=RepetitionPenaltyOptions,
            summary="Makes tokens that already occurred less likely",
            paper="Keskar et al. 2019, arXiv:1909.05858",
        ),
        Component(
            name="frequency_penalty",
            target=f"{here}.frequency_penalty:FrequencyPenalty",
            options=FrequencyPenaltyOptions,
            summary="Makes tokens less likely each time they are generated",
            paper="OpenAI, API reference, frequency and presence penalties",
        ),
        Component(
            name="presence_penalty",
            target=f"{here}.presence_penalty:PresencePenalty",
            options=PresencePenaltyOptions,
            summary="Makes tokens less likely once they have been generated",
            paper="OpenAI, API reference, frequency and presence penalties",
        ),
        Component(
            name="dry",
            target=f"{here}.dry:Dry",
            options=DryOptions,
            summary="Penalises tokens that extend a repeat, more for longer repeats",
            paper="p-e-w 2024, text-generation-webui #5677",
        ),
        Component(
            name="no_repeat_ngram",
            target=f"{here}.no_repeat_ngram:NoRepeatNgram",
            options=NoRepeatNgramOptions,
            summary="Prevents any n-gram from occurring twice",
            paper="Paulus et al. 2017, arXiv:1705.04304",
        ),
        Component(
            name="min_new_tokens",
            target=f"{here}.min_new_tokens:MinNewTokens",
            options=MinNewTokensOptions,
            summary="Prevents the text from ending before n new tokens",
            paper="Wolf et al. 2020, transformers, MinNewTokensLengthLogitsProcessor",
        ),
        Component(
            name="allowed_text",
            target=f"{here}.allowed_text:AllowedText",
            options=AllowedTextOptions,
            summary="Keeps tokens with which the text can still match a regular expression",
            paper="Willard & Louf 2023, arXiv:2307.09702",
        ),
    ]
