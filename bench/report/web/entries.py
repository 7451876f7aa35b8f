"""The leaderboard over many entries: a table for each group that can be compared, and none across."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
MOST_LETTERS = 12  # of a differing value in a heading


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
    groups = list(by_group.values())
    boards = [_board(group, caption) for group, caption in zip(groups, captions(groups), strict=True)]
    data: list[dict[str, Any]] = [
        {"board": board_data(board), "against": {}, "sets": [], "words": None} for board in boards
    ]
    return [Group(board, page_json(one)) for board, one in zip(boards, data, strict=True)]


def captions(groups: Sequence[Sequence[Entry]]) -> list[str]:
    """A heading for each group; those that would be equal say in which parts of their basis they differ."""
    plain = [_caption(group[0]) for group in groups]
    bases = [_flat(group[0].basis) for group in groups]
    found = []
    for k, caption in enumerate(plain):
        others = [basis for j, basis in enumerate(bases) if plain[j] == caption]
        keys = dict.fromkeys(key for basis in others for key in basis)
        differing = [key for key in keys if any(basis.get(key, "") != bases[k].get(key, "") for basis in others)]
        told = [
            f"{key.replace('_', ' ')} {_short(bases[k].get(key, ''), [basis.get(key, '') for basis in others])}"
            for key in differing
        ]
        found.append(" · ".join([caption, *told]))
    return found


def _caption(first: Entry) -> str:
    what = f"Erasing “{first.concept}” from {first.model}" if first.kind == "measured" else f"Published: {first.name}"
    return f"{what}{f', protocol {first.protocol}' if first.protocol else ''}"


def _flat(basis: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """The values of a basis by their path, such as "drawing steps"."""
    found: dict[str, str] = {}
    for key, value in basis.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{above}{key} ")
        else:
            found[above + key] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return found


def _short(value: str, among: Sequence[str]) -> str:
    """A value in a heading: of a long one, such as a hash, its beginning, where that tells it from the others."""
    begins = {other[:MOST_LETTERS] for other in among}
    if len(value) <= MOST_LETTERS or len(begins) < len(set(among)):
        return value or "none"
    return f"{value[:MOST_LETTERS]}…"


def _board(entries: Sequence[Entry], caption: str) -> Board:
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
            label := one.label if entry.kind == "published" else f"{one.label} · {entry.name}",  # the heading names it
            one.method.partition(" ")[0] or "no method",
            tuple(_cell(entry, one, key, metrics[key], ranges[key]) for key in metrics),
            tex_text(label),
            markdown_text(label),
        )
        for entry in entries
        for row, one in entry.rows.items()
    )
    notes = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in first.basis.items()]
    notes += [f"{entry.name}: {text}" for entry in entries for text in _told(entry)]
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
