"""How differently samples begin: distinct first words over samples that have one."""

from typing import Any

from tp_core.interfaces import BuildContext, Headline, MetricView


class Openings:
    # Samples repeat each other's words the more, the more there are: beside held-out phrases the
    # report puts as many of those, and finds its interval in subsets without replacement.
    of_samples = True
    headline = (Headline("distinct_openings", "share", "higher"),)

    def __init__(self, options: Any, ctx: BuildContext) -> None:
        pass

    def compute(self, view: MetricView) -> dict[str, Any]:
        """The share, and the first words that most samples have, with their numbers."""
        counts: dict[str, int] = {}
        for sample in view.samples:
            for word in sample.split()[:1]:
                counts[word] = counts.get(word, 0) + 1
        total = sum(counts.values())
        usual = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:5]
        return {
            "distinct_openings": len(counts) / total if total else None,
            "most_usual": [{"word": word, "samples": count} for word, count in usual],
        }
