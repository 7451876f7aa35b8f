"""One bar a stage on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .interrupt import check

SECONDS_BETWEEN_LINES = 10.0


class StageBar:
    """Counts to `total`; use as a context manager."""

    def __init__(self, stage: str, total: int, unit: str) -> None:
        self.stage, self.total, self.unit = stage, total, unit
        self.count, self._text = 0, ""
        self._began = self._last = time.monotonic()
        console = Console(stderr=True)
        self._bar: Progress | None = None
        if console.is_terminal:
            console = Console(stderr=True, width=max(20, console.width - len("^C")))  # which Ctrl-C leaves behind it
            self._bar = Progress(
                TextColumn("{task.description:<9}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn(unit),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[text]}"),
                console=console,
            )
            self._task = self._bar.add_task(stage, total=total, text="")

    def __enter__(self) -> StageBar:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        elif kind is None and self.total:
            self._line()

    def advance(self, count: int = 1, text: str | None = None) -> None:
        check()
        self.count += count
        self._text = self._text if text is None else text
        if self._bar:
            self._bar.update(self._task, completed=self.count, text=self._text)
        elif time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._line()

    def reach(self, count: int, text: str, total: int | None = None) -> None:
        """Set the count, for work that may jump ahead, and the total, if it was not known before."""
        if total is not None:
            self.total = total
            if self._bar:
                self._bar.update(self._task, total=total)
        self.advance(count - self.count, text)

    def say(self, text: str) -> None:
        """Change the text beside the count."""
        self.advance(0, text)

    def _line(self) -> None:
        self._last = time.monotonic()
        spent = self._last - self._began
        left = f", {spent / self.count * (self.total - self.count):.0f} s left" if 0 < self.count < self.total else ""
        print(  # noqa: T201
            f"{self.stage}: {self.count}/{self.total} {self.unit}, {spent:.0f} s{left}  {self._text}".rstrip(),
            file=sys.stderr,
            flush=True,
        )
