"""Bars on a terminal, plain lines otherwise: of one stage, or of all kinds of a run's work at once."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
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
            self._bar = _bars(console, TextColumn(unit))
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


class StageBars:
    """One bar after the other, for stages that are known as they begin; use as a context manager."""

    def __init__(self) -> None:
        self._open, self._stage = ExitStack(), ""
        self._bar: StageBar | None = None

    def __enter__(self) -> StageBars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def reach(self, stage: str, unit: str, count: int, total: int) -> None:
        """Set how far a stage is; another stage ends the last one."""
        if self._bar is None or stage != self._stage:
            self._open.close()
            self._bar, self._stage = self._open.enter_context(StageBar(stage, total, unit)), stage
        self._bar.reach(count, "", total)


class RunProgress:
    """How far a run is, by kind of work; use as a context manager.

    Attributes:
        counts: how much of each kind is done.
    """

    def __init__(self, totals: Mapping[str, tuple[int, str]]) -> None:
        self._totals = {kind: total for kind, total in totals.items() if total[0]}
        self.counts = dict.fromkeys(self._totals, 0)
        self._began = self._last = time.monotonic()
        console = Console(stderr=True)
        self._bars: Progress | None = None
        if console.is_terminal:
            self._bars = _bars(console, TextColumn("{task.fields[unit]}"))
            self._rows = {
                kind: self._bars.add_task(kind, total=total, text="", unit=unit)
                for kind, (total, unit) in self._totals.items()
            }

    def __enter__(self) -> RunProgress:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()
        elif kind is None and self._totals:
            self._line("")

    def advance(self, kind: str, count: int, text: str) -> None:
        """So much more of a kind is done; never more than there is."""
        check()
        if kind not in self.counts:
            return
        self.counts[kind] = max(0, min(self.counts[kind] + count, self._totals[kind][0]))
        if self._bars:
            self._bars.update(self._rows[kind], completed=self.counts[kind], text=text)
        elif time.monotonic() - self._last > SECONDS_BETWEEN_LINES:
            self._line(text)

    @property
    def text(self) -> str:
        """How far each kind is."""
        return ", ".join(f"{kind} {self.counts[kind]}/{total} {unit}" for kind, (total, unit) in self._totals.items())

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        line = f"{self.text}, {self._last - self._began:.0f} s  {text}".rstrip()
        print(line, file=sys.stderr, flush=True)  # noqa: T201


def _bars(console: Console, unit: TextColumn) -> Progress:
    narrower = Console(stderr=True, width=max(20, console.width - len("^C")))  # which Ctrl-C leaves behind it
    return Progress(
        TextColumn("{task.description:<9}"),
        BarColumn(),
        MofNCompleteColumn(),
        unit,
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
        console=narrower,
    )
