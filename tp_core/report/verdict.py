"""The verdict of a report: one label for the outcome of a training, by fixed rules.

All figures are in bits per byte. The rules are applied in this order; the first that holds is the
verdict.

**untrained**: on both validation and training phrases, the model is no better than the better of
two unigram models, of tokens and of characters. Training phrases count too, because a model that
overfits badly is worse than a unigram model on unseen phrases.

**memorises**: the model reproduces training phrases exactly, and more often than their likelihood
as ordinary phrases explains. Either
- the train mass (the probability that an unprompted sample at temperature 1 is a training phrase)
  is at least MEMORISED, and per phrase at least PER_PHRASE times that of validation phrases. A
  model that has learned the language finds both about equally likely, although sums of a few
  probabilities vary by a factor of several; or
- at least MEMORISED of the distinct samples are copies of training phrases (by the lower end of
  Wilson's 95 % interval, so that a handful proves nothing), and copies of validation phrases are
  too few in comparison: if both were drawn equally, so many would be training phrases with a
  probability of at most CHANCE (binomial).

**overfits from step N**: validation was best at step N, and at the last evaluation it is higher by
RISE relative to its best, while training fell. Once a run has levelled out, validation changes by
less than one per cent between evaluations; a spike of an unstable training shows in both.

**underfit**: a character 5-gram predicts validation phrases better by at least BEHIND (when there
is nothing more to learn, a good model comes this close), and training can continue without harm:
either training phrases are hardly easier than validation phrases (a gap below GAP of the validation
figure, which is about the noise of a few hundred lines), or validation still fell by at least
STILL_FALLING over the last quarter of the training.

**generalises**: none of these.

The curve covers the whole run; untrained, memorises and the gap refer to the reported checkpoint.
So a report on the best checkpoint of a run that trained too long says that the run overfits, and
that the checkpoint is from before the rise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tp_core.plain_data import finite
from tp_core.statistics import binomial_tail, wilson_interval

Label = Literal["untrained", "underfit", "generalises", "overfits", "memorises"]

MEMORISED = 0.1
PER_PHRASE = 10.0
CHANCE = 0.01
RISE = 0.02
BEHIND = 0.05
GAP = 0.05
STILL_FALLING = 0.05
FEW = 20


@dataclass(frozen=True)
class Point:
    """An evaluation: bits per byte on the training subset and on the validation lines."""

    step: int
    train: float
    val: float


@dataclass(frozen=True)
class Evidence:
    """The data behind a verdict; figures in bits per byte.

    `train` and `val` belong to the checkpoint from `step`, `curve` to the run, in order of steps.
    `distinct_samples` counts distinct samples, `copies` those that are exact copies of a split's
    phrases, `phrases` the distinct phrases of each split, and `mass` is the sum of their
    probabilities (None if not computed).
    """

    step: int
    train: float
    val: float
    unigram: float
    ngram: float
    curve: tuple[Point, ...]
    distinct_samples: int
    copies: Mapping[str, int]
    phrases: Mapping[str, int]
    mass: Mapping[str, float] | None


@dataclass(frozen=True)
class Verdict:
    """`text` is one line that begins with the label; `reasons` lists the figures behind it.

    `from_step` is only set for `overfits`.
    """

    label: Label
    text: str
    reasons: tuple[str, ...] = ()
    from_step: int | None = None


def judge(evidence: Evidence) -> Verdict:
    """The first rule that holds."""
    found = next(filter(None, (rule(evidence) for rule in _RULES)))
    return replace(found, reasons=tuple(_reasons(evidence)))


def points(evaluations: Sequence[Mapping[str, Any]]) -> tuple[Point, ...]:
    """The evaluations in lines of `metrics.jsonl` that have both splits' bits per byte."""
    found: dict[int, dict[str, float]] = {}
    for line in evaluations:
        step, split, bits = line.get("step"), line.get("split"), finite(line.get("bits_per_byte"))
        if isinstance(step, int) and isinstance(split, str) and bits is not None:
            found.setdefault(step, {})[split] = bits
    return tuple(
        Point(step, at["train"], at["val"])
        for step, at in sorted(found.items())
        if {"train", "val"} <= at.keys()
    )


def _untrained(e: Evidence) -> Verdict | None:
    if min(e.val, e.train) < e.unigram:
        return None
    return Verdict(
        "untrained",
        f"untrained: {e.val:.3f} bits/byte on validation phrases, no better than a unigram model "
        f"({e.unigram:.3f})",
    )


def _memorises(e: Evidence) -> Verdict | None:
    how = _by_mass(e) or _by_copies(e)
    return Verdict("memorises", f"memorises: {how}") if how else None


def _overfits(e: Evidence) -> Verdict | None:
    best, last = _ends(e.curve)
    if last.val < best.val * (1 + RISE) or last.train >= best.train:
        return None
    before = ", before the rise" if e.step <= best.step else ""
    return Verdict(
        "overfits",
        f"overfits from step {best.step}: validation rose from {best.val:.3f} to {last.val:.3f} "
        f"bits/byte by step {last.step} while training fell from {best.train:.3f} to "
        f"{last.train:.3f}; this checkpoint is from step {e.step}{before}",
        from_step=best.step,
    )


def _underfits(e: Evidence) -> Verdict | None:
    if e.val < e.ngram * (1 + BEHIND):
        return None
    figures = (
        f"underfit: {e.val:.3f} bits/byte on validation phrases, while a character 5-gram gets "
        f"{e.ngram:.3f}"
    )
    if _gap(e) < GAP:
        hint = "try more steps, a higher learning rate or a larger model"
        return Verdict("underfit", f"{figures}, and {e.train:.3f} on training phrases; {hint}")
    if (fell := _still_falling(e.curve)) >= STILL_FALLING:
        since = f"it still fell by {100 * fell:.0f} % over the last quarter of the training"
        return Verdict("underfit", f"{figures}; {since}: try more steps")
    return None


def _generalises(e: Evidence) -> Verdict:
    beside = "better than" if e.val < e.ngram else "but no better than"
    return Verdict(
        "generalises",
        f"generalises: {e.val:.3f} bits/byte on validation phrases, {e.train:.3f} on training "
        f"phrases; {beside} a character 5-gram ({e.ngram:.3f})",
    )


_RULES: tuple[Callable[[Evidence], Verdict | None], ...] = (
    *(_untrained, _memorises, _overfits, _underfits, _generalises),
)


def _by_mass(e: Evidence) -> str:
    """Evidence of memorising in probabilities, or an empty string."""
    if e.mass is None or e.mass["train"] < MEMORISED:
        return ""
    train, val = (e.mass[name] / max(e.phrases[name], 1) for name in ("train", "val"))
    if train < PER_PHRASE * val:
        return ""
    return (
        f"{100 * e.mass['train']:.0f} % of unprompted samples would be exact copies of training "
        f"phrases, {100 * e.mass['val']:.2g} % of validation phrases"
    )


def _by_copies(e: Evidence) -> str:
    """Evidence of memorising in samples, or an empty string."""
    train, val, distinct = e.copies["train"], e.copies["val"], e.distinct_samples
    if not distinct or wilson_interval(train, distinct).low < MEMORISED:
        return ""
    share = e.phrases["train"] / max(e.phrases["train"] + e.phrases["val"], 1)
    if binomial_tail(train, train + val, share) > CHANCE:
        return ""
    return (
        f"{train} of {distinct} distinct samples are exact copies of training phrases, {val} of "
        "validation phrases"
    )


def _ends(curve: Sequence[Point]) -> tuple[Point, Point]:
    """The evaluation with the best validation (the first of several), and the last one."""
    if not curve:
        return (none := Point(0, 0.0, 0.0)), none
    return min(curve, key=lambda point: (point.val, point.step)), curve[-1]


def _gap(e: Evidence) -> float:
    return (e.val - e.train) / e.val


def _still_falling(curve: Sequence[Point]) -> float:
    """The relative fall of validation over the last quarter of the steps; 0 if the evaluations
    are too far apart to tell."""
    if not curve:
        return 0.0
    last = curve[-1]
    before = [p for p in curve if last.step / 2 <= p.step <= 0.75 * last.step]
    if not before or last.step == 0:
        return 0.0
    then = before[-1]
    quarters = (last.step - then.step) / (0.25 * last.step)
    return (1 - last.val / then.val) / quarters


def _reasons(e: Evidence) -> list[str]:
    best, last = _ends(e.curve)
    lines = [
        f"bits/byte at step {e.step}: {e.val:.3f} on validation phrases, {e.train:.3f} on training "
        f"phrases (a gap of {100 * _gap(e):+.0f} %)",
        f"baselines: unigram {e.unigram:.3f}, character 5-gram {e.ngram:.3f}",
    ]
    if e.phrases["val"] < FEW:
        lines.append(f"only {e.phrases['val']} validation phrases: all of these figures are rough")
    if e.curve:
        lines.append(
            f"validation was best at step {best.step} ({best.val:.3f}); at the last evaluation, "
            f"step {last.step}, it was {last.val:.3f}"
        )
    lines.append(
        f"of {e.distinct_samples} distinct samples, {e.copies['train']} are exact copies of "
        f"training phrases and {e.copies['val']} of validation phrases"
    )
    if e.mass is not None:
        lines.append(
            f"the probability that an unprompted sample is one of the {e.phrases['train']:,} "
            f"training phrases is {e.mass['train']:.2g}, and one of the {e.phrases['val']:,} "
            f"validation phrases {e.mass['val']:.2g}"
        )
    return lines
