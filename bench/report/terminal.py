"""Tables for a terminal of any width: what does not fit goes into further tables, and no number is cut or dropped."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .sheet import NONE, Cell, Column, Sheet

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console, ConsoleOptions
    from rich.table import Table

UNLIMITED = 10_000  # columns, where the output is no terminal
SENTENCE = re.compile(r"[^\W\d_]{2,}.* .{12,}")  # a cell that may be broken between words
READABLE = 24  # columns that a sentence gets at least
NARROWEST = 7  # columns of any column
STYLES = {1: "[bold]{}[/]", 2: "[underline]{}[/]"}


class SheetView:
    """A sheet without its footnotes, as rich prints it.

    Each table repeats the rows' labels and, where these are not unique, the first columns that tell them apart. Where
    not even one column fits beside them, cells are written one under the other.
    """

    def __init__(self, title: str, view: Sheet) -> None:
        self.title, self.view = title, view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        count, keys = len(self.view.columns), self._keys()

        def fits(columns: Sequence[int]) -> bool:
            wide = options.update(width=UNLIMITED)
            return console.measure(self._table(columns, ""), options=wide).minimum <= options.max_width

        left, title = list(range(keys, count)), self.title
        while left or title:
            chosen = list(range(keys))
            if not fits([*chosen, *left[:1]]):
                yield from self._lines([*chosen, *left], title)
                return
            while left and fits([*chosen, left[0]]):
                chosen.append(left.pop(0))
            yield self._table(chosen, title)
            title = ""

    def _keys(self) -> int:
        """How many of the first columns it takes, with the label, to tell all rows apart."""
        rows = [(label, *(cell.text for cell in cells)) for label, cells in self.view.rows]
        enough = (k for k in range(len(self.view.columns)) if len({row[: k + 1] for row in rows}) == len(rows))
        return next(enough, 0)

    def _table(self, columns: Sequence[int], title: str) -> Table:
        from rich.box import SIMPLE_HEAD
        from rich.markup import escape
        from rich.table import Table

        shown = Table(title=escape(title) or None, box=SIMPLE_HEAD, title_justify="left")
        shown.add_column("", no_wrap=True, min_width=max((len(label) for label, _ in self.view.rows), default=0))
        for k in columns:
            texts = [cells[k].text for _, cells in self.view.rows]
            is_text = any(map(SENTENCE.fullmatch, texts))
            heading = _heading(self.view.columns[k])
            width = max(NARROWEST, *map(len, heading.split()), *([] if is_text else map(len, texts)))
            shown.add_column(
                escape(textwrap.fill(heading, width, break_on_hyphens=False)),
                justify="left" if is_text else "right",
                no_wrap=not is_text,
                overflow="fold",
                min_width=max(width, READABLE) if is_text else width,
            )
        for label, cells in self.view.rows:
            marked = (STYLES.get(cells[k].place, "{}").format(escape(cells[k].text)) for k in columns)
            shown.add_row(escape(label), *marked)
        return shown

    def _lines(self, columns: Sequence[int], title: str) -> Iterator[Any]:
        from rich.text import Text

        if title:
            yield Text(title)
        for label, cells in self.view.rows:
            yield Text(label)
            for k in columns:
                yield Text(f"  {_heading(self.view.columns[k])}: {cells[k].text}", overflow="fold")


def _heading(column: Column) -> str:
    return f"{column.group} {column.label}".strip()


def terminal_table(title: str, view: Sheet) -> SheetView:
    """A sheet for a terminal, without its footnotes."""
    return SheetView(f"{title}\n{view.banner}".strip(), view)


def terminal() -> Console:
    """A console; where the output is no terminal, lines are as long as they need."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=UNLIMITED)


def sheet_of(frame: pd.DataFrame, number: Callable[[float], str] = "{:.3f}".format) -> Sheet:
    """A data frame as a sheet; its first column are the rows' labels."""

    def shown(value: Any) -> str:
        if isinstance(value, float):
            return NONE if value != value else number(value)
        return NONE if value is None else str(value)

    rows = [(str(line[0]), [Cell(shown(value)) for value in line[1:]]) for line in frame.itertuples(index=False)]
    return Sheet("", [Column(str(name)) for name in frame.columns[1:]], [rows], [])


def entries(lines: Sequence[tuple[str, str]]) -> str:
    """Names with their texts beside them, which are broken between words where a terminal ends."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else UNLIMITED
    column = min(max(len(name) for name, _ in lines), width // 3) + 2
    shown = []
    for name, text in lines:
        parts = textwrap.wrap(text, max(width - column, 20), break_long_words=False, break_on_hyphens=False) or [""]
        if len(name) > column - 2:
            shown.append(name)
            name = ""
        shown += [f"{name if k == 0 else '':<{column}}{part}".rstrip() for k, part in enumerate(parts)]
    return "\n".join(shown)
