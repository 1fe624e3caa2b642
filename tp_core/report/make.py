"""Making a report: phrases read again, the model asked about them, samples drawn, metrics run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from tp_core.assembly.builder import Builder
from tp_core.config.plan import Plan
from tp_core.data.dataset import Dataset
from tp_core.evaluation.baselines import baselines
from tp_core.files import read_json
from tp_core.generation.generate import encode_prompt, generate
from tp_core.generation.sampler_chain import SamplerChain
from tp_core.interfaces.metrics import MetricView, SplitLosses
from tp_core.model.device import peak_memory_mib
from tp_core.report.assess import assess
from tp_core.report.document import document
from tp_core.report.losses import distinct_losses, split_losses
from tp_core.report.reference_phrases import marks
from tp_core.report.verdict import Evidence, judge, points
from tp_core.runs.data import open_run_data
from tp_core.runs.jsonl import read_jsonl
from tp_core.runs.opening import LoadedRun

MASS_LINES = 100_000
"""With more training lines than this, their mass is not computed unless it is asked for."""


@dataclass(frozen=True)
class ReportSettings:
    """What a report is asked for.

    `plan` has the samplers and metrics to use, `prompt` is empty for unconditional
    samples. `train_mass`: score every training phrase, however many there are.
    """

    checkpoint: str
    plan: Plan
    prompt: str
    n_samples: int
    max_new_tokens: int
    seed: int
    train_mass: bool = False


def make_report(
    loaded: LoadedRun, settings: ReportSettings, say: Callable[[str], None]
) -> dict[str, Any]:
    """The report as plain data; `say` hears what is being done. Nothing is written.

    Raises `TpError` where the run's files don't hold what a report is made of.
    """
    clock = _Clock(say)
    evaluations = [
        line for line in read_jsonl(loaded.run.metrics_path) if line.get("split") in _SPLITS
    ]
    metrics = _metrics(settings.plan, loaded)
    prompt_ids = encode_prompt(loaded.tokenizer, settings.prompt, loaded.model.max_seq_len)
    with clock("reading the phrases"):
        dataset = open_run_data(loaded)
        texts = {name: getattr(dataset, name).texts() for name in _SPLITS}
    with clock("sampling"):
        view = replace(_samples(loaded, settings, prompt_ids), texts=texts, evaluations=evaluations)
    with clock("scoring"):
        view = replace(view, losses=split_losses(loaded, dataset))
    whole = loaded.model.has_eos  # lines are phrases, not chunks of a text cut anywhere
    if whole and (settings.train_mass or len(texts["train"]) <= MASS_LINES):
        with clock("scoring every training phrase"):
            val = view.losses["val"]
            view = replace(view, distinct=distinct_losses(loaded, dataset, texts, val))
    with clock("baselines"):
        baseline_bits = baselines(dataset, has_eos=loaded.model.has_eos)
    data = _data(loaded, dataset, view)
    del dataset  # metrics may need the memory
    with clock("metrics"):
        assessments = assess(metrics, view, settings.seed)
    known = marks(view.samples, view)
    evidence = _evidence(loaded, view, known, baseline_bits)
    return document(
        loaded=loaded,
        checkpoint=settings.checkpoint,
        data=data,
        view=view,
        sampling=_sampling(settings),
        sample_marks=known,
        assessments=assessments,
        evidence=evidence,
        baselines=baseline_bits,
        verdict=judge(evidence),
        perf={"seconds": clock.seconds, "memory_mib": peak_memory_mib(torch.device("cpu"))},
    )


_SPLITS = ("train", "val")


class _Clock:
    """Says what begins, and remembers how long it took."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        self._say(f"{what} ...")
        began = time.perf_counter()
        yield
        self.seconds[what] = round(time.perf_counter() - began, 3)


def _metrics(plan: Plan, loaded: LoadedRun) -> list[tuple[Any, Any]]:
    builder = Builder(plan, loaded.tokenizer.vocab_size)
    return [(chosen, builder.build(chosen, f"metrics.{chosen.name}")) for chosen in plan.metrics]


def _samples(loaded: LoadedRun, settings: ReportSettings, prompt_ids: Sequence[int]) -> MetricView:
    continuations = generate(
        loaded.model,
        SamplerChain.of(settings.plan, loaded.tokenizer),
        loaded.tokenizer,
        [prompt_ids] * settings.n_samples,
        max_new_tokens=settings.max_new_tokens,
        seed=settings.seed,
        autocast=loaded.autocast,
    )
    texts = [settings.prompt + loaded.tokenizer.decode(one.tokens) for one in continuations]
    return MetricView(samples=texts, stops=[one.stopped for one in continuations])


def _data(loaded: LoadedRun, dataset: Dataset, view: MetricView) -> dict[str, Any]:
    recorded = read_json(loaded.run.provenance_path).get("data") or {}
    return {
        "path": recorded.get("path") or loaded.plan.config.data.path,
        "sha256": dataset.sha256,
        "phrases": {name: len(texts) for name, texts in view.texts.items()},
    }


def _sampling(settings: ReportSettings) -> dict[str, Any]:
    return {
        "prompt": settings.prompt,
        "n_samples": settings.n_samples,
        "max_new_tokens": settings.max_new_tokens,
        "seed": settings.seed,
        "samplers": [chosen.spec.as_data() for chosen in settings.plan.samplers],
    }


def _evidence(
    loaded: LoadedRun,
    view: MetricView,
    known: Sequence[str],
    baseline_bits: Mapping[str, float],
) -> Evidence:
    different = dict(zip(view.samples, known, strict=True))
    bits = {name: view.losses[name].bits_per_byte for name in _SPLITS}
    phrases = {
        name: len(view.distinct[name].nll if view.distinct else set(view.texts[name]))
        for name in _SPLITS
    }
    return Evidence(
        step=loaded.step,
        train=_number(bits["train"]),
        val=_number(bits["val"]),
        unigram=min(baseline_bits["token_unigram"], baseline_bits["character_unigram"]),
        ngram=baseline_bits["character_5gram"],
        curve=points(view.evaluations),
        distinct_samples=len(different),
        copies={name: list(different.values()).count(name) for name in _SPLITS},
        phrases=phrases,
        mass={n: _mass(s) for n, s in view.distinct.items()} if view.distinct else None,
    )


def _mass(losses: SplitLosses) -> float:
    """What the phrases' probabilities add up to."""
    return math.fsum(np.exp(-losses.nll))


def _number(bits: float | None) -> float:
    """Bits per byte of lines, of which neither split is without any."""
    assert bits is not None
    return bits
