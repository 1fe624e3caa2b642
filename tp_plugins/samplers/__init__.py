"""How logits are reshaped before a token is drawn: descriptors."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from tp_core import Component, Dims, Options, hookimpl


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


class MinPOptions(Options):
    p: float = Field(
        0.1,
        ge=0,
        le=1,
        description="least probability that stays, as a share of the largest; 0 keeps all",
        examples=[0.5],
    )


class TypicalOptions(Options):
    p: float = Field(
        0.95,
        gt=0,
        le=1,
        description="least probability mass that stays, the most typical first; 1 keeps all",
        examples=[0.5],
    )


class TopNSigmaOptions(Options):
    n: float = Field(
        1.0,
        gt=0,
        description="standard deviations below the largest logit at which tokens stay",
        examples=[0.5],
    )


class MirostatOptions(Options):
    tau: float = Field(3.0, gt=0, description="surprise to keep, in bits per token", examples=[0.5])
    eta: float = Field(
        0.1, gt=0, description="share of an error in surprise that is corrected", examples=[0.5]
    )


class XtcOptions(Options):
    threshold: float = Field(
        0.1,
        gt=0,
        le=0.5,
        description="probability from which a token is a top choice",
        examples=[0.05],
    )
    probability: float = Field(
        0.5, ge=0, le=1, description="how often top choices are excluded; 0 is off", examples=[0.9]
    )


class RepetitionPenaltyOptions(Options):
    penalty: float = Field(
        1.2, gt=0, description="above 1 discourages tokens that occurred; 1 is off", examples=[3.0]
    )


class FrequencyPenaltyOptions(Options):
    penalty: float = Field(
        0.5,
        ge=-2,
        le=2,
        description="taken off a logit each time its token was drawn; 0 is off",
        examples=[2.0, -1.0],
    )


class PresencePenaltyOptions(Options):
    penalty: float = Field(
        0.5,
        ge=-2,
        le=2,
        description="taken off the logits of tokens that were drawn; 0 is off",
        examples=[2.0, -1.0],
    )


class DryOptions(Options):
    multiplier: float = Field(
        0.8, ge=0, description="penalty of the shortest repeat; 0 is off", examples=[2.0]
    )
    base: float = Field(
        1.75, ge=1, description="factor on it per token the repeat is longer", examples=[1.2]
    )
    allowed_length: int = Field(
        2, ge=1, description="tokens that may be repeated unpenalised", examples=[1, 3]
    )


class NoRepeatNgramOptions(Options):
    n: int = Field(3, ge=1, description="tokens in a run that comes only once", examples=[1, 2])


class MinNewTokensOptions(Options):
    n: int = Field(
        10, ge=0, description="tokens drawn before the text may end; 0 is off", examples=[1]
    )


class AllowedTextOptions(Options):
    pattern: str = Field(
        description="regular expression that the whole generated text is to match",
        examples=["[a-j ]*", "(the )?[0-9]+"],
    )

    def problems(self, dims: Dims) -> Iterable[str]:
        import regex

        try:
            regex.compile(self.pattern)
        except regex.error as error:
            yield f"pattern = {self.pattern!r} is no regular expression: {error}"


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
            name="min_p",
            target=f"{here}.min_p:MinP",
            options=MinPOptions,
            summary="Only tokens at least p times as likely as the best one stay",
            paper="Nguyen et al. 2024, arXiv:2407.01082",
        ),
        Component(
            name="typical",
            target=f"{here}.typical:Typical",
            options=TypicalOptions,
            summary="Only tokens about as surprising as expected stay, up to mass p",
            paper="Meister et al. 2022, arXiv:2202.00666",
        ),
        Component(
            name="top_n_sigma",
            target=f"{here}.top_n_sigma:TopNSigma",
            options=TopNSigmaOptions,
            summary="Only tokens within n standard deviations of the largest logit stay",
            paper="Tang et al. 2024, arXiv:2411.07641",
        ),
        Component(
            name="mirostat",
            target=f"{here}.mirostat:Mirostat",
            options=MirostatOptions,
            summary="Cuts surprising tokens so that the text keeps a surprise of tau",
            paper="Basu et al. 2020, arXiv:2007.14966, version 2",
        ),
        Component(
            name="xtc",
            target=f"{here}.xtc:Xtc",
            options=XtcOptions,
            summary="Now and then, all top choices but the least likely are excluded",
            paper="p-e-w 2024, text-generation-webui #6335",
        ),
        Component(
            name="repetition_penalty",
            target=f"{here}.repetition_penalty:RepetitionPenalty",
            options=RepetitionPenaltyOptions,
            summary="Tokens that already stand in the text become less likely",
            paper="Keskar et al. 2019, arXiv:1909.05858",
        ),
        Component(
            name="frequency_penalty",
            target=f"{here}.frequency_penalty:FrequencyPenalty",
            options=FrequencyPenaltyOptions,
            summary="Tokens become less likely each time they are drawn",
            paper="OpenAI, API reference, frequency and presence penalties",
        ),
        Component(
            name="presence_penalty",
            target=f"{here}.presence_penalty:PresencePenalty",
            options=PresencePenaltyOptions,
            summary="Tokens become less likely once they were drawn",
            paper="OpenAI, API reference, frequency and presence penalties",
        ),
        Component(
            name="dry",
            target=f"{here}.dry:Dry",
            options=DryOptions,
            summary="Tokens that would go on with a repeat become less likely, the longer the more",
            paper="p-e-w 2024, text-generation-webui #5677",
        ),
        Component(
            name="no_repeat_ngram",
            target=f"{here}.no_repeat_ngram:NoRepeatNgram",
            options=NoRepeatNgramOptions,
            summary="No run of n tokens comes twice",
            paper="Paulus et al. 2017, arXiv:1705.04304",
        ),
        Component(
            name="min_new_tokens",
            target=f"{here}.min_new_tokens:MinNewTokens",
            options=MinNewTokensOptions,
            summary="The text doesn't end before n tokens were drawn",
            paper="Wolf et al. 2020, transformers, MinNewTokensLengthLogitsProcessor",
        ),
        Component(
            name="allowed_text",
            target=f"{here}.allowed_text:AllowedText",
            options=AllowedTextOptions,
            summary="Only tokens stay with which the text can still match a regular expression",
            paper="Willard & Louf 2023, arXiv:2307.09702",
        ),
    ]
