"""The leaderboard over many entries: a table for each group that can be compared, and none across."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BenchError
from ...storage.files import write_text
from ..formats import markdown_text, tex_text
from ..headings import QUICK, Heading
from ..leaderboard import interval_hint
from ..sheet import NONE
from .board import Board, BoardCell, BoardColumn, BoardRow, drawn_in
from .entry import Entry, EntryMetric, EntryRow, entry_of, read_entry
from .opened import open_run
from .page import board_data, rendered
from .visible import page_json

TITLE = "Leaderboard of concept erasure"


@dataclass(frozen=True)
class Group:
    """Entries that can be compared, as a table; `data` is for the page's script."""

    board: Board
    data: str


def entries_of(sources: Sequence[Path]) -> list[Entry]:
    """The entries of runs' folders, entries' files, and folders of such files.

    Raises:
        BenchError: one is none of these or can't be read, or two entries of one group have one name.
    """
    found = [entry for source in sources for entry in _entries(source)]
    known: dict[tuple[str, str], Entry] = {}
    for entry in found:
        if (entry.group, entry.name) in known:
            other = known[entry.group, entry.name]
            again = "the same entry twice" if other == entry else "two entries of one name"
            raise BenchError(f"{entry.name!r}: {again}. Give each once, or rename one (`bench entry --name`).")
        known[entry.group, entry.name] = entry
    return found


def _entries(source: Path) -> list[Entry]:
    if source.is_file():
        return [read_entry(source)]
    if (source / "plan.yaml").exists() or (source / "run.json").exists():
        return [entry_of(open_run(source))]
    files = sorted(source.glob("*.json")) if source.is_dir() else []
    if not files:
        raise BenchError(f"{source} is no run, no entry and no folder of entries. `bench entry RUN` writes an entry.")
    return [read_entry(file) for file in files]


def write_leaderboard(entries: Sequence[Entry], to: Path) -> Path:
    """Write the page.

    Raises:
        BenchError: the file's folder is not there.
    """
    if not to.absolute().parent.is_dir():
        raise BenchError(f"{to}: there is no folder {to.parent}. Make it, or choose another file.")
    write_text(to, rendered("leaderboard.html.j2", False, title=TITLE, groups=groups_of(entries)))
    return to


def groups_of(entries: Sequence[Entry]) -> list[Group]:
    """A table for each group of entries that can be compared, in the order of the entries."""
    by_group: dict[str, list[Entry]] = {}
    for entry in entries:
        by_group.setdefault(entry.group, []).append(entry)
    boards = [_board(group) for group in by_group.values()]
    data: list[dict[str, Any]] = [
        {"board": board_data(board), "against": {}, "sets": [], "words": None} for board in boards
    ]
    return [Group(board, page_json(one)) for board, one in zip(boards, data, strict=True)]


def _board(entries: Sequence[Entry]) -> Board:
    first = entries[0]
    metrics: dict[tuple[str, int], EntryMetric] = {}
    for entry in entries:
        for name, metric in entry.metrics.items():
            metrics.setdefault((name, metric.version), metric)
    columns = tuple(_column(name, metric, metrics) for (name, _), metric in metrics.items())
    ranges = {key: _ends(entries, *key) for key in metrics}
    rows = tuple(
        BoardRow(
            f"{entry.name}/{row}",
            label := f"{one.label} · {entry.name}",
            one.method.partition(" ")[0] or "no method",
            tuple(_cell(entry, one, key, metrics[key], ranges[key]) for key in metrics),
            tex_text(label),
            markdown_text(label),
        )
        for entry in entries
        for row, one in entry.rows.items()
    )
    what = f"Erasing “{first.concept}” from {first.model}" if first.kind == "measured" else f"Published: {first.name}"
    notes = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in first.basis.items()]
    notes += [f"{entry.name}: {text}" for entry in entries for text in _told(entry)]
    caption = f"{what}{f', protocol {first.protocol}' if first.protocol else ''}"
    return Board(caption, QUICK if any(entry.quick for entry in entries) else "", columns, (rows,), tuple(notes))


def _column(name: str, metric: EntryMetric, metrics: dict[tuple[str, int], EntryMetric]) -> BoardColumn:
    versions = [version for other, version in metrics if other == name]
    label = f"{metric.label} (version {metric.version})" if len(versions) > 1 else metric.label
    head = Heading(label, metric.better, metric.digits, metric.is_cost)
    group = "Cost" if metric.is_cost else ""
    key = name if len(versions) == 1 else f"{name}_v{metric.version}"
    return BoardColumn(key, label, metric.better, group, tex_text(head.with_arrow), markdown_text(head.with_arrow))


def _cell(
    entry: Entry, row: EntryRow, key: tuple[str, int], metric: EntryMetric, bounds: tuple[float, float] | None
) -> BoardCell:
    own, found = entry.metrics.get(key[0]), row.values.get(key[0])
    if found is None or own is None or own.version != key[1]:
        return BoardCell(NONE, False, "not in this entry", None, None, None, 0, None)
    head = Heading(metric.label, metric.better, metric.digits, metric.is_cost)
    hint = interval_hint(head, found.low, found.high, found.n, found.covers)
    drawn = drawn_in(bounds, found.value, found.low, found.high)
    return BoardCell(head.shown(found.value), False, hint, found.value, found.low, found.high, found.n, drawn)


def _ends(entries: Sequence[Entry], name: str, version: int) -> tuple[float, float] | None:
    values = [
        row.values[name]
        for entry in entries
        for row in entry.rows.values()
        if name in row.values and name in entry.metrics and entry.metrics[name].version == version
    ]
    ends = [end for one in values for end in (one.value, one.low, one.high) if end is not None]
    return (min(ends), max(ends)) if ends else None


def _told(entry: Entry) -> list[str]:
    made = [f"{key} {value}" for key, value in entry.made_with.items() if key == "device"]
    notes = [f"{one.label}: {note}" for one in entry.metrics.values() for note in one.notes]
    return [f"fingerprint {entry.fingerprint}", *made, *entry.remarks, *notes]
