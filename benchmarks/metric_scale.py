"""How long each report metric takes, and how much memory, on a million training phrases.

    python benchmarks/metric_scale.py [--lines 1000000] [--samples 200] [--words 50000]

The text is made up: words of a made-up language, drawn by Zipf's law, about 40 bytes a phrase. A
tenth as many validation phrases; half of the samples are of the same language, a quarter training
phrases, a quarter training phrases with a word exchanged. In one process, as a report asks:
`first` is the first `compute`, with all that is built from the training text, `again` one more on
as many held-out phrases, `subset` one on half of the samples, of which there are a hundred for
metrics without `per_sample`. Seconds are the processor's, so other work on the machine counts
little. Memory is the peak so far, of which the phrases themselves take what the first line says.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tp_core.assembly.loading import load_class
from tp_core.config.components import resolve_spec
from tp_core.interfaces.metrics import MetricView, SplitLosses, TokenLosses
from tp_core.kernel.catalogue import Catalogue
from tp_core.kernel.options import Options, Spec
from tp_plugins.metrics import tp_metrics

PIECE = 20_000


def phrases(rng: np.random.Generator, lines: int, vocabulary: list[str]) -> list[str]:
    """In pieces, so that making them isn't what takes the memory."""
    ranks = np.arange(1, len(vocabulary) + 1)
    weights = (1 / ranks) / (1 / ranks).sum()
    words = np.array(vocabulary, dtype=object)
    found = []
    for start in range(0, lines, PIECE):
        ends = np.cumsum(np.clip(rng.poisson(7.5, min(PIECE, lines - start)), 1, 40)).tolist()
        chosen = words[rng.choice(len(words), ends[-1], p=weights)].tolist()
        found += [" ".join(chosen[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
    return found


def made_up(rng: np.random.Generator, words: int) -> list[str]:
    """Frequent words are short, as in any language."""
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    sizes = np.clip((np.log2(np.arange(2, words + 2)) * 0.6).astype(int), 1, 12)
    weights = 1 / np.arange(3, 29)
    made = rng.choice(letters, (words, 14), p=weights / weights.sum())
    return ["".join(row[: size + 1]) for row, size in zip(made, sizes.tolist(), strict=True)]


def losses(rng: np.random.Generator, texts: Sequence[str]) -> SplitLosses:
    size = np.fromiter((len(text.encode()) + 1 for text in texts), np.int64, len(texts))
    return SplitLosses(rng.exponential(1.5, len(texts)) * size, size // 3 + 1, size)


def with_tokens(rng: np.random.Generator, lines: SplitLosses) -> SplitLosses:
    ends = np.cumsum(lines.tokens)
    n = int(ends[-1])
    temperatures = 2.0 ** (np.arange(-16, 17) / 8)
    tokens = TokenLosses(
        nll=rng.exponential(3.0, n).astype(np.float32),
        position=(np.arange(n) - np.repeat(ends - lines.tokens, lines.tokens)).astype(np.int32),
        end=np.isin(np.arange(n), ends - 1),
        confidence=rng.random(n, np.float32),
        correct=rng.random(n) < 0.5,
        temperatures=temperatures,
        nll_at=n * (1 + np.log(temperatures) ** 2),
    )
    return replace(lines, token_losses=tokens)


def make_view(lines: int, n: int, words: int) -> MetricView:
    rng = np.random.default_rng(0)
    vocabulary = made_up(rng, words)
    train, val = (phrases(rng, size, vocabulary) for size in (lines, lines // 10))
    copies = [train[i] for i in rng.integers(0, len(train), n // 2)]
    for index in range(0, len(copies), 2):
        found = copies[index].split()
        found[len(found) // 2] = vocabulary[int(rng.integers(len(vocabulary)))]
        copies[index] = " ".join(found)
    distinct = {"train": list(dict.fromkeys(train)), "val": list(dict.fromkeys(val))}
    return MetricView(
        losses={"train": losses(rng, train[:2000]), "val": with_tokens(rng, losses(rng, val))},
        samples=phrases(rng, n - len(copies), vocabulary) + copies,
        stops=["end"] * n,
        texts={"train": train, "val": val},
        distinct={name: losses(rng, texts) for name, texts in distinct.items()},
        evaluations=[{"split": "val", "step": s, "loss": 3.0 - s / 999} for s in range(100)],
    )


def seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--words", type=int, default=50_000)
    parser.add_argument("--only", nargs="*", help="metrics to time; all without it")
    args = parser.parse_args()
    view = make_view(args.lines, args.samples, args.words)
    held_out = replace(view, samples=list(view.texts["val"][: args.samples]))
    half = args.samples // 2
    subset = replace(view, samples=view.samples[:half], stops=view.stops[:half])
    size = sum(len(text) + 1 for text in view.texts["train"])
    print(f"{args.lines} phrases, {size / 1e6:.1f} MB; peak so far {peak_mib():.0f} MiB")
    print(f"{'metric':18}{'first s':>9}{'again s':>9}{'subset ms':>11}{'peak MiB':>10}")
    total = 0.0
    for component in tp_metrics():
        if args.only and component.name not in args.only:
            continue
        chosen = resolve_spec(Catalogue(), Spec[Any](component.name, {}, "metric"))
        metric = load_class(chosen)(Options(), None)
        first = seconds(lambda m=metric: m.compute(view))
        row = f"{component.name:18}{first:9.2f}"
        total += first
        if getattr(metric, "of_samples", False):
            again = seconds(lambda m=metric: m.compute(held_out))
            part = min(seconds(lambda m=metric: m.compute(subset)) for _ in range(3))
            row += f"{again:9.2f}{part * 1e3:11.1f}"
            # Of samples, held-out and training phrases; then each sample's value, or subsets.
            total += 2 * again + (3 * again if hasattr(metric, "per_sample") else 300 * part)
        print(f"{row:47}{peak_mib():10.0f}", flush=True)
    print(f"all that a report asks: {total:.1f} s")


if __name__ == "__main__":
    main()
