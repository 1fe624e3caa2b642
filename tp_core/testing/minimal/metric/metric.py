"""How much samples repeat themselves (seq-rep-n; Welleck et al. 2019, arXiv:1908.04319).

    repetition = 1 − Σ distinct n-grams / Σ n-grams,    both counted within each sample

What a metric must hold:

- `compute(view)` returns a dict that is strict JSON (no NaN), of any view: of an empty one, of one
  phrase. What can't be said is None. Asked twice, it says the same.
- `view.samples` are generated texts and `view.losses` those of the splits;
  `tp_core.interfaces.MetricView` says what else there is.
- `of_samples = True` says that it is about the samples: a report then has it of held-out and of
  training phrases too. A mean over samples may also have `per_sample(view)`, for its interval.
- `headline` names the values it is known by: where they are in its result, in which unit, and which
  way is better: "lower", "higher" or "neither".
"""

from typing import Any

from tp_core.interfaces import BuildContext, Headline, MetricView

from tp_core.testing.minimal.metric import MinimalOptions


class Minimal:
    of_samples = True
    headline = (Headline("repetition", "share", "lower"),)

    def __init__(self, options: MinimalOptions, ctx: BuildContext) -> None:
        self.n = options.n

    def compute(self, view: MetricView) -> dict[str, Any]:
        total = distinct = 0
        for sample in view.samples:
            words = sample.split()
            grams = [tuple(words[i : i + self.n]) for i in range(len(words) - self.n + 1)]
            total += len(grams)
            distinct += len(set(grams))
        return {"ngrams": total, "repetition": 1 - distinct / total if total else None}
