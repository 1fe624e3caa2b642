"""What a report measures: descriptors.

Three questions: how likely the model finds text (`likelihood` to `baselines`), whether it knows the
training phrases by heart (`exact_copies` to `good_turing`), and what its samples are like.
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
            summary="Loss, perplexity and bits per byte over whole lines, and the gap to training",
        ),
        Component(
            name="best_step",
            target=f"{here}.best_step:BestStep",
            summary="The step with the lowest validation loss, and the steps since",
            paper="Prechelt 1998, Early stopping - but when?",
        ),
        Component(
            name="loss_by_position",
            target=f"{here}.loss_by_position:LossByPosition",
            summary="Loss at each position of a phrase, and on the token that ends it",
        ),
        Component(
            name="calibration",
            target=f"{here}.calibration:Calibration",
            summary="Expected calibration error, and the temperature that would predict best",
            paper="Guo et al. 2017, arXiv:1706.04599",
        ),
        Component(
            name="baselines",
            target=f"{here}.baselines:Baselines",
            summary="Bits per byte of character n-grams and of zlib on the validation phrases",
        ),
    ]


def _memorisation() -> list[Component]:
    here = "tp_plugins.metrics"
    return [
        Component(
            name="exact_copies",
            target=f"{here}.exact_copies:ExactCopies",
            summary="Share of samples that are training or validation phrases, word for word",
        ),
        Component(
            name="train_mass",
            target=f"{here}.train_mass:TrainMass",
            summary="Probability of all training phrases, against held-out ones; the likeliest",
        ),
        Component(
            name="novelty",
            target=f"{here}.novelty:Novelty",
            summary="Share of runs of 1 to 8 words that the training text doesn't have",
            paper="McCoy et al. 2023, arXiv:2111.09509",
        ),
        Component(
            name="longest_copy",
            target=f"{here}.longest_copy:LongestCopy",
            summary="Longest stretch of characters that some training phrase has too",
        ),
        Component(
            name="good_turing",
            target=f"{here}.good_turing:GoodTuring",
            summary="Estimated chance that one more sample would be new",
            paper="Good 1953, The population frequencies of species",
        ),
    ]


def _samples() -> list[Component]:
    here = "tp_plugins.metrics"
    return [
        Component(
            name="unique_rate",
            target=f"{here}.unique_rate:UniqueRate",
            summary="Share of samples that no earlier sample repeats",
        ),
        Component(
            name="distinct",
            target=f"{here}.distinct:Distinct",
            summary="Share of different words, pairs and triples of words among all samples'",
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
            summary="How many times smaller zlib makes the samples",
            paper="Shaib et al. 2024, arXiv:2403.00553",
        ),
        Component(
            name="repetition",
            target=f"{here}.repetition:Repetition",
            summary="Share of runs of 1 to 4 words that a sample repeats",
            paper="Welleck et al. 2019, arXiv:1908.04319",
        ),
        Component(
            name="oov",
            target=f"{here}.oov:OutOfVocabulary",
            summary="Share of words that the training text doesn't have",
        ),
        Component(
            name="length_distance",
            target=f"{here}.length_distance:LengthDistance",
            summary="Wasserstein distance of the samples' lengths from validation phrases'",
        ),
        Component(
            name="endings",
            target=f"{here}.endings:Endings",
            summary="Share of samples that ended by themselves, were cut off, or are empty",
        ),
        Component(
            name="char_ngram",
            target=f"{here}.char_ngram:CharNgramPerplexity",
            summary="Perplexity of the samples to a character 5-gram of the training text",
        ),
    ]
