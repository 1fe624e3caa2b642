"""One word for how a training came out, by rules that are fixed here.

All figures are bits per byte. The rules are asked in this order; the first that holds is the
verdict.

**untrained**: neither validation nor training phrases are easier for the model than for the better
of two models that know frequencies only (of tokens, of characters). Training is asked too, because
a model that overfits badly is worse than frequencies on what it hasn't seen.

**memorises**: training phrases come out word for word, and more often than being likely phrases
explains. Either of
- the train mass (probability that an unprompted sample at temperature 1 is a training phrase) is
  MEMORISED or more, and per phrase PER_PHRASE times that of validation phrases; a tenth is one copy
  in ten, and a model that learned the language finds both sorts about as likely, though sums of a
  few probabilities scatter by a factor of several;
- copies of training phrases are MEMORISED or more of the distinct samples (the lower end of
  Wilson's 95 % interval, so that a handful proves nothing), and copies of validation phrases are
  too few beside them: were phrases of both sorts drawn alike, so many would be training phrases
  with a probability of CHANCE at most (binomial).

**overfits from step N**: validation was best at step N and at the last evaluation is RISE higher,
relative to its best, while training fell. Where a run has levelled out, validation moves by less
than one per cent between evaluations; a spike of an unsteady training shows on both.

**underfit**: a character 5-gram, which only counts, predicts validation phrases better by BEHIND or
more (where it is all there is to learn, a good model comes as close as that), and there is room
without harm: either training phrases are hardly easier than validation ones (a gap below GAP of
the validation figure, about what the choice of a few hundred lines makes), or validation still
fell by STILL_FALLING or more over the last quarter of the training.

**generalises**: none of these.

The curve is the whole run's; untrained, memorises and the gap are of the checkpoint reported on. So
a report on the best checkpoint of a run that went on too long says that it overfits, and that this
checkpoint is from before.
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
    """An evaluation: bits per byte on the training subset and on validation lines."""

    step: int
    train: float
    val: float


@dataclass(frozen=True)
class Evidence:
    """All that a verdict rests on; figures in bits per byte.

    `train` and `val` are of the checkpoint from `step`, `curve` of the run, in order of steps.
    `distinct_samples` counts different ones, `copies` those that are phrases of a split word for
    word, `phrases` the distinct phrases of each split, `mass` the sum of their probabilities (None
    where it wasn't asked for).
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
    """`text` is one line in plain words, beginning with the label; `reasons` are the figures looked
    at, one to a line. `from_step` belongs to `overfits`."""

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
        f"untrained: {e.val:.3f} bits/byte on validation phrases, no better than knowing how "
        f"frequent tokens and characters are ({e.unigram:.3f})",
    )


def _memorises(e: Evidence) -> Verdict | None:
    how = _by_mass(e) or _by_copies(e)
    return Verdict("memorises", f"memorises: {how}") if how else None


def _overfits(e: Evidence) -> Verdict | None:
    best, last = _ends(e.curve)
    if last.val < best.val * (1 + RISE) or last.train >= best.train:
        return None
    before = ", before that" if e.step <= best.step else ""
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
        f"underfit: {e.val:.3f} bits/byte on validation phrases, where counting characters gets "
        f"{e.ngram:.3f}"
    )
    if _gap(e) < GAP:
        more = "more steps, a higher learning rate or a larger model"
        return Verdict("underfit", f"{figures}, and {e.train:.3f} on training phrases: {more}")
    if (fell := _still_falling(e.curve)) >= STILL_FALLING:
        since = f"still falling, by {100 * fell:.0f} % over the last quarter of the training"
        return Verdict("underfit", f"{figures}; {since}: more steps")
    return None


def _generalises(e: Evidence) -> Verdict:
    beside = "less than" if e.val < e.ngram else "though no less than"
    return Verdict(
        "generalises",
        f"generalises: {e.val:.3f} bits/byte on phrases it never saw, {e.train:.3f} on those it "
        f"learned from; {beside} what counting characters gets ({e.ngram:.3f})",
    )


_RULES: tuple[Callable[[Evidence], Verdict | None], ...] = (
    *(_untrained, _memorises, _overfits, _underfits, _generalises),
)


def _by_mass(e: Evidence) -> str:
    """How memorising shows in probabilities; empty where it doesn't."""
    if e.mass is None or e.mass["train"] < MEMORISED:
        return ""
    train, val = (e.mass[name] / max(e.phrases[name], 1) for name in ("train", "val"))
    if train < PER_PHRASE * val:
        return ""
    return (
        f"{100 * e.mass['train']:.0f} % of what it would write unprompted are training phrases "
        f"word for word, and {100 * e.mass['val']:.2g} % validation phrases"
    )


def _by_copies(e: Evidence) -> str:
    """How memorising shows in samples; empty where it doesn't."""
    train, val, distinct = e.copies["train"], e.copies["val"], e.distinct_samples
    if not distinct or wilson_interval(train, distinct).low < MEMORISED:
        return ""
    share = e.phrases["train"] / max(e.phrases["train"] + e.phrases["val"], 1)
    if binomial_tail(train, train + val, share) > CHANCE:
        return ""
    return (
        f"{train} of {distinct} different samples are training phrases word for word, and {val} "
        "validation phrases"
    )


def _ends(curve: Sequence[Point]) -> tuple[Point, Point]:
    """Where validation was best (the first of several), and the last evaluation."""
    if not curve:
        return (none := Point(0, 0.0, 0.0)), none
    return min(curve, key=lambda point: (point.val, point.step)), curve[-1]


def _gap(e: Evidence) -> float:
    return (e.val - e.train) / e.val


def _still_falling(curve: Sequence[Point]) -> float:
    """How much validation fell over the last quarter of the steps, relative to before; 0 where the
    evaluations are too far apart to tell."""
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
        f"phrases ({100 * _gap(e):+.0f} % between them)",
        f"knowing frequencies only: {e.unigram:.3f}; a character 5-gram: {e.ngram:.3f}",
    ]
    if e.phrases["val"] < FEW:
        lines.append(f"there are only {e.phrases['val']} validation phrases: all of this is rough")
    if e.curve:
        lines.append(
            f"validation was best at step {best.step} ({best.val:.3f}); at the last evaluation, "
            f"step {last.step}, it is {last.val:.3f}"
        )
    lines.append(
        f"of {e.distinct_samples} different samples, {e.copies['train']} are training phrases "
        f"word for word and {e.copies['val']} validation phrases"
    )
    if e.mass is not None:
        lines.append(
            f"the probability that an unprompted sample is one of the {e.phrases['train']:,} "
            f"training phrases is {e.mass['train']:.2g}, one of the {e.phrases['val']:,} "
            f"validation phrases {e.mass['val']:.2g}"
        )
    return lines
