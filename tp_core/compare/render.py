"""A comparison as text, Markdown or data: the same tables in three forms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tp_core.compare.differences import Difference
from tp_core.compare.evaluated_run import EvaluatedRun
from tp_core.compare.likelihood import LikelihoodDifference
from tp_core.compare.seed_groups import Group
from tp_core.plain_data import brief
from tp_core.statistics import Interval

_HASH = re.compile(r"[0-9a-f]{40,}")

ONE_SEED = (
    "one seed a side: this compares two checkpoints, not two architectures; "
    "train each with several values of train.seed and compare all of them"
)
SAME_SEED = "runs with the same config and the same seed count once: a copy, or a repetition"
SEED_ALONE = "the runs differ in nothing but train.seed: this is what a seed is worth"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything `tp compare` shows."""

    checkpoint: str
    prompt: str
    sampling_seed: int
    runs: tuple[EvaluatedRun, ...]
    groups: tuple[Group, ...]
    config: tuple[Difference, ...]
    provenance: tuple[Difference, ...]
    differences: tuple[LikelihoodDifference, ...]

    @property
    def remarks(self) -> list[str]:
        """What a reader must know to read the figures right."""
        found = []
        judged = any(one.difference for one in self.differences)
        if judged and all(len(group.runs) == 1 for group in self.groups):
            found.append(ONE_SEED)
        if judged and len(self.groups) == 1 and len(self.groups[0].replicates) > 1:
            found.append(SEED_ALONE)
        for group in self.groups:
            if len(group.replicates) < len(group.runs):
                found.append(f"{group.name}: {SAME_SEED}")
        if len({run.tokenizer for run in self.runs}) > 1:
            found.append("the tokenizers differ: losses per token don't compare, bits per byte do")
        if any(run.tokens_per_second for run in self.runs):
            found.append("tokens/s are of each run's training, on the machine it ran on")
        return found


@dataclass(frozen=True)
class Section:
    """A titled table; no columns where there are only lines of text."""

    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    lines: tuple[str, ...] = ()


def sections(comparison: Comparison) -> Iterator[Section]:
    """The comparison's tables, in the order they are read."""
    runs = comparison.runs
    names = tuple(run.id for run in runs)
    yield Section(
        "figures",
        ("run", "step", "loss", "bits/byte", "parameters", "FLOPs/token", "tokens/s"),
        tuple(
            (
                run.id,
                str(run.step),
                number(run.loss),
                number(run.bits_per_byte),
                f"{run.parameters:,}",
                f"{run.flops_per_token:,.0f}",
                f"{run.tokens_per_second:,.0f}" if run.tokens_per_second else "",
            )
            for run in runs
        ),
    )
    many = [group for group in comparison.groups if len(group.runs) > 1]
    if many:
        yield Section(
            "seeds",
            ("runs that differ only in train.seed", "bits/byte, mean and 95 % interval"),
            tuple((group.name, interval(group.bits_per_byte)) for group in many),
        )
    yield Section("bits per byte", lines=tuple(map(difference_line, comparison.differences)))
    for title, differences in (
        ("config", comparison.config),
        ("provenance", comparison.provenance),
    ):
        rows = tuple(row for one in differences for row in _difference_rows(one, names))
        columns = ("key", "runs", "value") if rows else ()
        yield Section(f"what differs: {title}", columns, rows, () if rows else ("nothing",))
    start = f'prompt "{comparison.prompt}"' if comparison.prompt else "unconditional"
    yield Section(
        f"samples: {start}, seed {comparison.sampling_seed}",
        ("sample", "run", "seen", "text"),
        tuple(
            (str(index + 1), run.id, sample.known, sample.text)
            for index in range(len(runs[0].samples))
            for run in runs
            for sample in (run.samples[index],)
        ),
    )


def _difference_rows(
    difference: Difference, names: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    """A row for each value, with the runs that have it."""
    runs: dict[str, list[str]] = {}
    for name, written in zip(names, difference.values, strict=True):
        runs.setdefault(value(written), []).append(name)
    for index, (text, having) in enumerate(runs.items()):
        yield "" if index else difference.key, ", ".join(having), text


def difference_line(one: LikelihoodDifference) -> str:
    """`B − A = −0.042 [−0.055, −0.030]: B is better`"""
    if one.difference is None:
        return f"{one.b} and {one.a} are not compared: {one.refusal}"
    found = one.difference
    if not found.excludes_zero:
        words = "no difference beyond chance"
    else:
        words = f"{one.b if found.estimate < 0 else one.a} is better"
    what = "paired by validation line" if one.by == "lines" else f"over {one.by}"
    return f"{one.b} − {one.a} = {interval(found, signed=True)}, {what}: {words}"


def interval(found: Interval | None, signed: bool = False) -> str:
    if found is None:
        return ""
    sign = "+" if signed else ""
    text = f"{found.estimate:{sign}.4f} [{found.low:{sign}.4f}, {found.high:{sign}.4f}]"
    return text.replace("-", "−")


def number(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.4f}"


def value(written: Any) -> str:
    """A config value as a config writes it, near enough: a component with those of its options
    that are set, a hash by its beginning."""
    if isinstance(written, str) and _HASH.fullmatch(written):
        return f"{written[:12]}…"
    if isinstance(written, dict) and isinstance(written.get("name"), str):
        given = ((k, v) for k, v in written.items() if k != "name" and v is not None)
        options = ", ".join(f"{k}={value(v)}" for k, v in given)
        return f"{written['name']}({options})" if options else written["name"]
    if isinstance(written, (list, tuple)):
        return ", ".join(map(value, written)) or "[]"
    return brief(written)


def as_markdown(comparison: Comparison) -> str:
    """GitHub-flavoured Markdown; what runs and texts contain stays text."""
    parts = []
    for section in sections(comparison):
        parts.append(f"### {_escaped(section.title)}")
        if section.columns:
            rows = [section.columns, ("---",) * len(section.columns), *section.rows]
            parts.append("\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows))
        parts += [f"- {_escaped(line)}" for line in section.lines]
    parts += [f"> {_escaped(remark)}" for remark in comparison.remarks]
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    return text if set(text) == {"-"} else _escaped(" ".join(text.split("\n")))


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#~&!" else c for c in text)


def as_data(comparison: Comparison) -> dict[str, Any]:
    """For programs: all figures in full, scores of single lines left out."""
    return {
        "checkpoint": comparison.checkpoint,
        "prompt": comparison.prompt,
        "sampling_seed": comparison.sampling_seed,
        "runs": [
            {
                "id": run.id,
                "step": run.step,
                "seed": run.seed,
                "loss": run.loss,
                "bits_per_byte": run.bits_per_byte,
                "without": run.without or None,
                "parameters": run.parameters,
                "flops_per_token": run.flops_per_token,
                "tokens_per_second": run.tokens_per_second,
                "samples": [asdict(sample) for sample in run.samples],
            }
            for run in comparison.runs
        ],
        "groups": [
            {
                "runs": [run.id for run in group.runs],
                "bits_per_byte": _interval(group.bits_per_byte),
            }
            for group in comparison.groups
        ],
        "differences": [
            {
                "a": one.a,
                "b": one.b,
                "by": one.by,
                "bits_per_byte": _interval(one.difference),
                "refusal": one.refusal or None,
            }
            for one in comparison.differences
        ],
        "config": _rows(comparison.config),
        "provenance": _rows(comparison.provenance),
        "remarks": comparison.remarks,
    }


def _interval(found: Interval | None) -> dict[str, float] | None:
    return asdict(found) if found else None


def _rows(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    return [{"key": one.key, "values": list(one.values)} for one in differences]
