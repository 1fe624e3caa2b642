"""Training progress on stderr: a bar on a terminal, otherwise a line per evaluation."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from tp_core.cli.terminal import one_line

if TYPE_CHECKING:
    from tp_core.interfaces.callbacks import EndEvent, EvaluationEvent, StartEvent, StepEvent


class ProgressDisplay:
    """A callback that reports training progress on stderr; stdout is for data."""

    acts = True  # called in the training thread; it can't fail or block

    def __init__(self) -> None:
        self.console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self.run_id = ""
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def on_start(self, event: StartEvent) -> None:
        self.run_id = event.run_id
        for sentence in event.plugin_drift:
            self.say(f"Warning: {sentence}")
        if event.resumed and not event.step:
            self.say(f"run '{event.run_id}' has no checkpoint yet: starting from step 0")
        self.say(_opening(event))
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(),
                TextColumn("{task.fields[figures]}"),
                TextColumn("ETA"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._task = self._bar.add_task(
                "", total=event.max_steps, completed=event.step, figures=""
            )
            self._bar.start()

    def on_step(self, event: StepEvent) -> None:
        if self._bar is not None:
            rate = event.batch_tokens / event.seconds
            figures = f"loss {event.loss:.3f}  {rate:,.0f} tokens/s"
            self._bar.update(self._task, completed=event.step, figures=figures)

    def on_evaluation(self, event: EvaluationEvent) -> None:
        val, train = event.losses["val"], event.losses["train"]
        text = (
            f"step {event.step:>{len(str(event.max_steps))}}/{event.max_steps}  "
            f"val loss {val['loss']:.3f}  {val['bits_per_byte']:.3f} bits/byte  "
            f"(train {train['bits_per_byte']:.3f})"
        )
        if event.tokens_per_second is not None:
            text += f"  {event.tokens_per_second:,.0f} tokens/s"
        self.say(text)

    def on_end(self, event: EndEvent) -> None:
        if self._bar is not None:
            self._bar.stop()
        if event.status == "finished":
            self.say(_closing(event.summary))

    def say(self, text: str) -> None:
        """Print a line verbatim."""
        self.console.print(text, markup=False)


def _opening(event: StartEvent) -> str:
    phrases = "chunks" if event.config["data"]["layout"] == "text" else "phrases"
    begin = f", resuming from step {event.step}" if event.step else ""
    return (
        f"run {event.run_id}: {event.parameters:,} parameters on {event.device}, "
        f"{event.phrases['train']:,} training and {event.phrases['val']:,} validation {phrases}, "
        f"vocabulary size {event.vocab_size}{begin}"
    )


def _closing(summary: Mapping[str, Any]) -> str:
    unigram = summary["baselines"]["character_unigram"]["val_bits_per_byte"]
    fivegram = summary["baselines"]["character_5gram"]["val_bits_per_byte"]
    first, last, best = (summary[f"{name}_val"] for name in ("first", "last", "best"))
    share = 1 - last["bits_per_byte"] / unigram
    side = f"{share:.0%} below" if share >= 0 else f"{-share:.0%} above"
    stopped = summary.get("stopped")
    lines = [
        *([f"stopped by {stopped['callback']}: {stopped['reason']}"] if stopped else []),
        f"validation loss {first['loss']:.3f} -> {last['loss']:.3f}, bits per byte "
        f"{first['bits_per_byte']:.3f} -> {last['bits_per_byte']:.3f} "
        f"(best {best['bits_per_byte']:.3f} at step {best['step']})",
        f"  {side} a character unigram model ({unigram:.3f}); "
        f"a character 5-gram model gets {fivegram:.3f}",
        "samples:",
        *(f"  {one_line(text)}" for text in summary["samples"]),
    ]
    return "\n".join(lines)
