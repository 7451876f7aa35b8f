"""Tables and a picture of which concepts win when two are asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..runs.dominance import DominanceCell, DominanceRecord, Duel, read_dominance
from ..runs.folder import RunFolder, safe_name
from ..runs.plan import Plan
from ..scoring.bradley_terry import Game, Ranking, ranked
from ..storage.files import write_atomically, write_csv, write_text
from ..storage.keys import content_key
from .formats import html, latex, markdown
from .leaderboard import banner
from .sheet import NONE, Cell, Column, Sheet
from .terminal import SheetView, terminal_table

WIDTH, LINE = 6.4, 0.34  # inches: of the picture, and of a concept in it


def image_of(folder: RunFolder, cell: DominanceCell, first: str, second: str) -> Path:
    """Where a run's folder shows the first image of a pair."""
    place = folder.root / "dominance" / safe_name(cell.row)
    place = place if cell.training is None else place / f"seed-{cell.training}"
    return place / pair_file(first, second)


def pair_file(first: str, second: str) -> str:
    """The file name of a pair's image: both names where they can name a file, else a hash."""
    name = f"{first}--{second}".replace(" ", "_")
    return f"{name if re.fullmatch(r'[a-z0-9_-]{1,200}', name) else content_key(pair=[first, second])[:32]}.png"


def write_dominance(folder: RunFolder, plan: Plan, record: DominanceRecord) -> None:
    """Write dominance.csv, .md, .tex, .html and .png of a run."""
    found = rankings(record)
    table = sheet(plan, record, found)
    write_csv(folder.root / "dominance.csv", lines(record, found))
    for suffix, form in (("md", markdown), ("tex", latex), ("html", html)):
        write_text(folder.root / f"dominance.{suffix}", form(table))
    _draw(folder, record, found)


def dominance_views(folder: RunFolder, plan: Plan) -> list[SheetView]:
    """The table for a terminal; none where there is no record."""
    record = read_dominance(folder)
    if record is None:
        return []
    table = sheet(plan, record, rankings(record))
    return [terminal_table(table.caption, table)]


def duels_of(record: DominanceRecord, row: str) -> list[tuple[Duel, int | None]]:
    """A row's duels with their training's seed."""
    return [(duel, cell.training) for cell in record.cells if cell.row == row for duel in cell.duels]


def games_of(record: DominanceRecord, row: str) -> list[Game]:
    """What a row's duels say: both seen is a draw, neither is no game; both orders of one noise are a cluster."""
    places = {name: k for k, name in enumerate(record.concepts)}
    return [
        Game(places[duel.first], places[duel.second], 0.5 + (duel.seen[0] - duel.seen[1]) / 2, f"{seed}/{duel.number}")
        for duel, seed in duels_of(record, row)
        if duel.seen is not None and any(duel.seen)
    ]


def _rows(record: DominanceRecord) -> list[str]:
    """The original first: a file's keys are sorted."""
    return list(dict.fromkeys(cell.row for cell in record.cells))


def rankings(record: DominanceRecord) -> dict[str, Ranking]:
    """By row, the concepts' scores."""
    return {row: ranked(games_of(record, row), len(record.concepts)) for row in _rows(record)}


def shares(record: DominanceRecord, row: str, name: str) -> dict[str, float | None]:
    """Of the images that a concept was asked for in with another: how often it alone, both, the other, neither."""
    seen = [
        duel.seen if duel.first == name else duel.seen[::-1]
        for duel, _ in duels_of(record, row)
        if duel.seen is not None and name in (duel.first, duel.second)
    ]
    kinds = {"alone": (True, False), "both": (True, True), "other": (False, True), "neither": (False, False)}
    return {kind: seen.count(what) / len(seen) if seen else None for kind, what in kinds.items()}


def lines(record: DominanceRecord, found: Mapping[str, Ranking]) -> pd.DataFrame:
    """One line a row and concept."""
    return pd.DataFrame(
        [_line(record, row, ranking, k) for row, ranking in found.items() for k in range(len(record.concepts))]
    )


def _line(record: DominanceRecord, row: str, ranking: Ranking, k: int) -> dict[str, Any]:
    numbers = {"score": ranking.scores[k], "low": ranking.low[k], "high": ranking.high[k]}
    name = record.concepts[k]
    return {"row": row, "concept": name, **{key: float(n) for key, n in numbers.items()}, **shares(record, row, name)}


def sheet(plan: Plan, record: DominanceRecord, found: Mapping[str, Ranking]) -> Sheet:
    """A line a concept, the strongest of the original first; of each row the score and how often it is seen."""
    first = next(iter(found.values()))
    order = sorted(range(len(record.concepts)), key=lambda k: -first.scores[k])
    columns = [Column(label, record.labels[row]) for row in found for label in ("Score", "Seen")]
    body = [
        (record.concepts[k], [cell for row, ranking in found.items() for cell in _cells(record, row, ranking, k)])
        for k in order
    ]
    caption = f"Which of two concepts wins, {plan.model}; “{plan.subject}” is erased"
    return Sheet(caption, columns, [body], _notes(record), banner(plan))


def _cells(record: DominanceRecord, row: str, ranking: Ranking, k: int) -> list[Cell]:
    share = shares(record, row, record.concepts[k])
    told = ", ".join(f"{kind} {NONE if value is None else f'{value:.2f}'}" for kind, value in share.items())
    known = share["alone"], share["both"]
    seen = NONE if known[0] is None or known[1] is None else f"{known[0] + known[1]:.2f}"
    ends = f"{ranking.low[k]:.2f} to {ranking.high[k]:.2f}"
    return [Cell(f"{ranking.scores[k]:.2f}", hint=told, interval=ends), Cell(seen, hint=told)]


def _notes(record: DominanceRecord) -> list[str]:
    pairs = len(record.concepts) * (len(record.concepts) - 1) // 2
    notes = [
        f"{pairs} pairs in both orders, {record.images} images each: “a photo of … and …”; by {record.judge}.",
        "Score: Bradley–Terry log-odds of mean 0, with half a win for each side of every pair beforehand: of two "
        "concepts σ(difference) is how often the first wins. Both seen is a draw, neither is left out. Intervals: 95 % "
        "by a bootstrap of noise within each pair, for these pairs. Seen: with another concept beside it, or alone.",
    ]
    for row in _rows(record):
        label = record.labels[row]
        seen = [duel.seen for duel, _ in duels_of(record, row) if duel.seen is not None]
        one = [which for which in seen if which[0] != which[1]]
        if seen:
            share = f"{sum(which[0] for which in one) / len(one):.2f}" if one else NONE
            both, neither = (seen.count(which) / len(seen) for which in ((True, True), (False, False)))
            notes.append(f"{label}: both seen {both:.2f}, neither {neither:.2f}; of one alone, named first {share}.")
    return notes


def _draw(folder: RunFolder, record: DominanceRecord, found: Mapping[str, Ranking]) -> None:
    """Scores with intervals, a line a concept, a colour a row."""
    from matplotlib.figure import Figure

    first = next(iter(found.values()))
    order: Sequence[int] = sorted(range(len(record.concepts)), key=lambda k: first.scores[k])
    figure = Figure(figsize=(WIDTH, 1.2 + LINE * len(order)), layout="constrained")
    panel = figure.subplots()
    step = 0.7 / max(1, len(found))
    for place, (row, ranking) in enumerate(found.items()):
        heights = [k + 0.35 - (place + 0.5) * step for k in range(len(order))]
        scores, low, high = ranking.scores[order], ranking.low[order], ranking.high[order]
        panel.hlines(heights, low, high, color=f"C{place % 10}", linewidth=1.5)
        panel.scatter(scores, heights, color=f"C{place % 10}", s=22, zorder=3, label=record.labels[row])
    panel.set_yticks(range(len(order)), [record.concepts[k] for k in order])
    panel.set(xlabel="Bradley–Terry score: who wins when both are asked for")
    panel.axvline(0, color="grey", linewidth=0.8)
    panel.grid(alpha=0.3, axis="x")
    panel.legend(frameon=False, fontsize=8)
    write_atomically(folder.root / "dominance.png", lambda path: figure.savefig(path, format="png", dpi=140))
