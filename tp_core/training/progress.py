"""What a person watching sees: a bar on a terminal, a line per evaluation elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)


class ProgressDisplay:
    """Tells of a training on stderr; stdout is for data."""

    def __init__(self, max_steps: int, step: int) -> None:
        self.console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self.max_steps = max_steps
        self._bar: Progress | None = None
        self._task = TaskID(0)
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
            self._task = self._bar.add_task("", total=max_steps, completed=step, figures="")

    def __enter__(self) -> ProgressDisplay:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, step: int, loss: float, tokens_per_second: float) -> None:
        """A step is done."""
        if self._bar is not None:
            figures = f"loss {loss:.3f}  {tokens_per_second:,.0f} tokens/s"
            self._bar.update(self._task, completed=step, figures=figures)

    def evaluation(self, lines: Mapping[str, Mapping[str, Any]], perf: Mapping[str, Any]) -> None:
        """Both evaluation lines of a step, by split."""
        val, train = lines["val"], lines["train"]
        text = (
            f"step {val['step']:>{len(str(self.max_steps))}}/{self.max_steps}  "
            f"val loss {val['loss']:.3f}  {val['bits_per_byte']:.3f} bits/byte  "
            f"(train {train['bits_per_byte']:.3f})"
        )
        if "tokens_per_second" in perf:
            text += f"  {perf['tokens_per_second']:,.0f} tokens/s"
        self.say(text)

    def say(self, text: str) -> None:
        """A line for the reader, printed as it is."""
        self.console.print(text, markup=False)
