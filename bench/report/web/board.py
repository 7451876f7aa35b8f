"""The leaderboard as a page shows it: the tables' own cells, with values to sort by and intervals to draw."""

from __future__ import annotations

from dataclasses import dataclass

from ...registry import METHODS
from ...runs.rows import ORIGINAL, REFERENCE, UNRANKED_ROWS
from ...runs.scores import ScoreRecord
from ..formats import markdown_text, tex_text
from ..headings import headings
from ..leaderboard import leaderboard, sheet
from ..sheet import Cell
from .opened import DAMAGED, OpenRun
from .visible import finite

PENDING = "not scored yet"
MARGIN = 0.06  # of a drawn interval's width, left and right


@dataclass(frozen=True)
class BoardColumn:
    """A metric's column; `group` is "Cost" for costs."""

    key: str
    label: str
    better: str
    group: str
    tex: str
    markdown: str


@dataclass(frozen=True)
class Interval:
    """Where a value and its interval lie in their column's range, in [0, 1]; without an interval low and high are
    None."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class BoardCell:
    """One value.

    Attributes:
        text: as tables print it.
        is_best: whether tables mark it.
        hint: interval, what it covers and n, or why there is no value.
        value, low, high: unrounded; None where there is none.
        n: images or words.
        drawn: the interval in the column's range; None where there is no value.
    """

    text: str
    is_best: bool
    hint: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    drawn: Interval | None


@dataclass(frozen=True)
class BoardRow:
    """A row: `kind` is original, trained, closed form, guides sampling, own weights or real images."""

    key: str
    label: str
    kind: str
    cells: tuple[BoardCell, ...]
    tex: str
    markdown: str


@dataclass(frozen=True)
class Board:
    """A leaderboard: the original, the methods, the real images; notes stand under it."""

    caption: str
    banner: str
    columns: tuple[BoardColumn, ...]
    sections: tuple[tuple[BoardRow, ...], ...]
    notes: tuple[str, ...]

    @property
    def rows(self) -> list[BoardRow]:
        """All sections' rows."""
        return [row for section in self.sections for row in section]

    @property
    def kinds(self) -> list[str]:
        """The kinds of methods."""
        return list(dict.fromkeys(row.kind for row in self.rows if row.key not in UNRANKED_ROWS))


def board_of(run: OpenRun) -> Board:
    """A run's leaderboard: numbers, marks and notes are those of `bench table`."""
    plan, record, scores = run.plan, run.record, run.tabled
    view = sheet(scores, leaderboard(scores, plan, record), plan, record)
    heads = headings(scores, plan.metrics)
    columns = [
        BoardColumn(
            name,
            head.label,
            head.better,
            "Cost" if head.is_cost else "",
            tex_text(head.with_arrow),
            markdown_text(head.with_arrow),
        )
        for name, head in heads.items()
    ]
    ranges = {name: _range(run, name) for name in heads}
    keys = iter(sorted(record.rows, key=_place))
    sections = [
        tuple(
            BoardRow(
                row := next(keys),
                label,
                kind_of(run, row),
                tuple(_cell(run, row, name, cell, ranges[name]) for name, cell in zip(heads, cells, strict=True)),
                tex_text(label),
                markdown_text(label),
            )
            for label, cells in section
        )
        for section in view.sections
    ]
    return Board(view.caption, view.banner, tuple(columns), tuple(sections), tuple(view.notes))


def _place(row: str) -> int:
    """In which section of the tables a row stands."""
    return {ORIGINAL: 0, REFERENCE: 2}.get(row, 1)


def kind_of(run: OpenRun, row: str) -> str:
    """What a row is."""
    if row in UNRANKED_ROWS:
        return "original" if row == ORIGINAL else "real images"
    if row in run.plan.rows and run.plan.rows[row].method is None:
        return "own weights"
    entry = METHODS.entries().get(run.plan.rows[row].method or "") if row in run.plan.rows else None
    if entry is not None and entry.facts.get("guides"):
        return "guides sampling"
    seeds = run.record.trainings.get(row)
    return "closed form" if seeds is not None and not seeds else "trained"


def _cell(run: OpenRun, row: str, name: str, cell: Cell, bounds: tuple[float, float] | None) -> BoardCell:
    score = run.scores.get((row, name))
    if (row, name) in run.unread:
        return BoardCell(DAMAGED, False, "its file can't be read", None, None, None, 0, None)
    if score is None or score.value is None:
        return BoardCell(cell.text, False, cell.hint or _why_empty(score), None, None, None, 0, None)
    value, low, high = finite(score.value), finite(score.low), finite(score.high)
    drawn = drawn_in(bounds, value, low, high)
    return BoardCell(cell.text, cell.place == 1, cell.hint, value, low, high, score.n, drawn)


def drawn_in(
    bounds: tuple[float, float] | None, value: float | None, low: float | None, high: float | None
) -> Interval | None:
    """A value and its interval in a column's range; None without one or the other."""
    if value is None or bounds is None:
        return None
    ends = [None if end is None else _within(end, bounds) for end in (low, high)]
    return Interval(_within(value, bounds), ends[0], ends[1])


def _why_empty(score: ScoreRecord | None) -> str:
    return PENDING if score is None else score.reason or score.failure or "no value"


def _range(run: OpenRun, name: str) -> tuple[float, float] | None:
    """What a column's intervals are drawn over: all of its values and interval ends; of costs, from 0."""
    own = [score for (row, metric), score in run.scores.items() if metric == name and row in run.record.rows]
    ends = [end for score in own for end in map(finite, (score.value, score.low, score.high)) if end is not None]
    if not ends:
        return None
    low, high = min(ends), max(ends)
    return (min(0.0, low) if own[0].is_cost else low), high


def _within(value: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return 0.5 if high <= low else MARGIN + (1 - 2 * MARGIN) * (value - low) / (high - low)
