"""Descriptors of the metrics.

They cover likelihood (`likelihood` to `baselines`), memorisation (`exact_copies` to `good_turing`)
and the quality of samples.
"""

from __future__ import annotations

from tp_core import Component, hookimpl


@hookimpl
def tp_metrics() -> list[Component]:
    return [*_likelihood(), *_memorisation(), *_samples()]


def _likelihood() -> list[Component]:
    here = "tp_plugins.metrics"
    return [
        Component(
            name="likelihood",
            target=f"{here}.likelihood:Likelihood",
            summary="Loss, perplexity and bits per byte, and the generalisation gap",
        ),
        Component(
            name="best_step",
            target=f"{here}.best_step:BestStep",
            summary="Step with the lowest validation loss, and the number of steps since",
            paper="Prechelt 1998, Early stopping - but when?",
        ),
        Component(
            name="loss_by_position",
            target=f"{here}.loss_by_position:LossByPosition",
            summary="Loss by position in the phrase, and on the end token",
        ),
        Component(
            name="calibration",
            target=f"{here}.calibration:Calibration",
            summary="Expected calibration error, and the optimal temperature",
            paper="Guo et al. 2017, arXiv:1706.04599",
        ),
        Component(
            name="baselines",
            target=f"{here}.baselines:Baselines",
            summary="Bits per byte of character n-gram and zlib baselines on validation phrases",
        ),
    ]


def _memorisation() -> list[Component]:
    here = "tp_plugins.metrics"
    return [
        Component(
            name="exact_copies",
            target=f"{here}.exact_copies:ExactCopies",
            summary="Share of samples that are exact copies of training or validation phrases",
        ),
        Component(
            name="train_mass",
            target=f"{here}.train_mass:TrainMass",
            summary="Total probability of the training phrases, compared with held-out ones",
        ),
        Component(
            name="novelty",
            target=f"{here}.novelty:Novelty",
            summary="Share of word n-grams (n = 1 to 8) that don't occur in the training text",
            paper="McCoy et al. 2023, arXiv:2111.09509",
        ),
        Component(
            name="longest_copy",
            target=f"{here}.longest_copy:LongestCopy",
            summary="Longest substring shared with any training phrase",
        ),
        Component(
            name="good_turing",
            target=f"{here}.good_turing:GoodTuring",
            summary="Good-Turing estimate of the probability that the next sample is new",
            paper="Good 1953, The population frequencies of species",
        ),
    ]


def _samples() -> list[Component]:
    here = "tp_plugins.metrics"
    return [
        Component(
            name="unique_rate",
            target=f"{here}.unique_rate:UniqueRate",
            summary="Share of samples that are distinct",
        ),
        Component(
            name="distinct",
            target=f"{here}.distinct:Distinct",
            summary="Distinct-n: share of word n-grams (n = 1 to 3) that are distinct",
            paper="Li et al. 2016, arXiv:1510.03055",
        ),
        Component(
            name="self_bleu",
            target=f"{here}.self_bleu:SelfBleu",
            summary="Mean BLEU of each sample against all others",
            paper="Zhu et al. 2018, arXiv:1802.01886",
        ),
        Component(
            name="compression",
            target=f"{here}.compression:Compression",
            summary="zlib compression ratio of the samples",
            paper="Shaib et al. 2024, arXiv:2403.00553",
        ),
        Component(
            name="repetition",
            target=f"{here}.repetition:Repetition",
            summary="Share of word n-grams (n = 1 to 4) repeated within a sample",
            paper="Welleck et al. 2019, arXiv:1908.04319",
        ),
        Component(
            name="oov",
            target=f"{here}.oov:OutOfVocabulary",
            summary="Share of words that don't occur in the training text",
        ),
        Component(
            name="length_distance",
            target=f"{here}.length_distance:LengthDistance",
            summary="Wasserstein distance between the lengths of samples and validation phrases",
        ),
        Component(
            name="endings",
            target=f"{here}.endings:Endings",
            summary="Shares of samples that are complete, truncated or empty",
        ),
        Component(
            name="char_ngram",
            target=f"{here}.char_ngram:CharNgramPerplexity",
            summary="Perplexity of the samples under a character 5-gram model of the training text",
        ),
    ]
