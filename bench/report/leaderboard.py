"""The leaderboard: a pure function of a run's stored scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..runs.folder import RunFolder
from ..runs.plan import Plan
from ..runs.record import RunRecord
from ..runs.rows import ORIGINAL, REFERENCE, UNRANKED_ROWS
from ..runs.scores import ScoreRecord, Scores, read_scores
from ..storage.files import write_csv, write_text
from .bands import band_table
from .concepts import concept_sheet, concept_table
from .formats import html, latex, markdown
from .headings import QUICK, Heading, first_line, footnotes, headings, places, remarks
from .marks import marked
from .sheet import NOT_KNOWN, Cell, Column, Sheet
from .stored_scores import training_values
from .terminal import terminal_table

TABLE_VERSION = 5  # raise it when the tables' form changes
FORMATS = {"md": markdown, "tex": latex, "html": html}
SUFFIXES = ("csv", *FORMATS)  # of a leaderboard's files


def leaderboard(scores: Scores, plan: Plan, record: RunRecord) -> pd.DataFrame:
    """One line a row: what it is, then value, low, high, n and training_sd of each metric.

    `failed` names the metrics that could not be computed, `quick` says whether the run was a mere trial.
    `seeds` are of the row's trainings; a closed form is trained once, whatever the seed.
    `training_sd` is the standard deviation of the trainings' own values, over the same prompts and noise, where a row
    was trained from several seeds.
    """
    lines = []
    for row in record.rows:
        failed = [name for name in plan.metrics if record.failure_of(row, name)]
        line: dict[str, Any] = {
            "row": row,
            "label": record.labels[row],
            "model": plan.model,
            "concept": plan.subject,
            "seeds": _trainings(record, row),
            "failed": " ".join(failed),
            "quick": plan.quick,
        }
        for name in plan.metrics:
            line |= _numbers(name, scores.get((row, name)))
        lines.append(line)
    return pd.DataFrame(lines)


def _numbers(name: str, score: ScoreRecord | None) -> dict[str, Any]:
    """A cell's five columns."""
    if score is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None, f"{name}_n": 0, f"{name}_training_sd": None}
    return {
        name: score.value,
        f"{name}_low": score.low,
        f"{name}_high": score.high,
        f"{name}_n": score.n,
        f"{name}_training_sd": training_deviation(score),
    }


def _trainings(record: RunRecord, row: str) -> str:
    """A row's training seeds; empty for what is not trained."""
    if record.plan.get("variants", {}).get(row, {}).get("path"):
        return "not trained here"
    seeds = record.trainings.get(row)
    return "" if seeds is None else " ".join(map(str, seeds)) or "closed form"


def training_deviation(record: ScoreRecord) -> float | None:
    """The standard deviation of the trainings' own values; None under two trainings."""
    values = list(training_values(record).values())
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def sheet(scores: Scores, table: pd.DataFrame, plan: Plan, record: RunRecord, plain: bool = False) -> Sheet:
    """The leaderboard in its neutral form: the original, the methods, the real images; failed cells say so.

    Args:
        scores: by row and metric.
        table: their leaderboard.
        plan: the run's plan.
        record: of the run.
        plain: best bold and second best underlined, as papers print, instead of what tests say.
    """
    heads = headings(scores, plan.metrics)
    ranked = [str(row) for row in table["row"] if row not in UNRANKED_ROWS]
    marks = {} if plan.quick else _marks(scores, heads, ranked, plain)
    lines = {}
    for _, line in table.iterrows():
        row = str(line["row"])
        cells = [
            Cell("failed", hint=first_line(failure.reason))
            if (failure := record.failure_of(row, name))
            else _cell(head, scores.get((row, name)), marks.get(name, {}).get(row, 0))
            for name, head in heads.items()
        ]
        lines[row] = (str(line["label"]), cells)
    parts = ([ORIGINAL], [row for row in lines if row not in UNRANKED_ROWS], [REFERENCE])
    sections = [[lines[row] for row in part if row in lines] for part in parts]
    caption = f"Erasing “{plan.subject}” from {plan.model}"
    columns = [Column(head.with_arrow) for head in heads.values()]
    notes = footnotes(scores, plan, record, plain)
    if not plain:
        notes[1:1] = remarks(scores, plan, record.labels)
    for row, texts in record.truncated.items():
        count = f"{len(texts)} texts of its training are over 77 tokens and cut"
        notes.append(f"{record.labels[row]}: {count}, such as “{texts[0][:40]}…”.")
    notes += [images.described(record.labels.get(images.row, images.row)) for images in record.drawn]
    notes += record.remarks
    notes += [f"Failed: {failure.cell}: {first_line(failure.reason)}" for failure in record.failures]
    return Sheet(caption, columns, [part for part in sections if part], notes, banner(plan))


def banner(plan: Plan) -> str:
    """What stands above the table of a trial; "" for a run that is meant."""
    return QUICK if plan.quick else ""


def _marks(scores: Scores, heads: Mapping[str, Heading], rows: list[str], plain: bool) -> dict[str, dict[str, int]]:
    """By metric and row: 1 for bold, 2 for underlined."""
    if plain:
        return {
            name: places({row: scores[row, name].value for row in rows if (row, name) in scores}, head)
            for name, head in heads.items()
        }
    return {name: dict.fromkeys(best, 1) for name, best in marked(scores, list(heads), rows).items()}


def _cell(heading: Heading, record: ScoreRecord | None, place: int) -> Cell:
    if record is None:
        return Cell()
    if record.value is None and record.reason.startswith(NOT_KNOWN):
        return Cell(NOT_KNOWN, hint=record.reason)
    hint = interval_hint(heading, record.low, record.high, record.n, record.covers)
    return Cell(heading.shown(record.value), place, hint, heading.interval(record.low, record.high))


def interval_hint(heading: Heading, low: float | None, high: float | None, n: int, covers: str) -> str:
    """A value's interval, what it is over and n as a cell's hint; without an interval, why."""
    shown = heading.interval(low, high)
    return f"95 % interval {shown}{f' over {covers}' if covers else ''}, n = {n}" if shown else covers


def write_tables(folder: RunFolder, plan: Plan, record: RunRecord, plain: bool = False) -> pd.DataFrame:
    """Write leaderboard.csv, .md, .tex and .html from the stored scores, and bands.csv and concepts.csv where a plan
    has bands or several concepts; `plain` as for `sheet`.
    """
    scores = read_scores(folder, record.rows, plan.metrics)
    table = leaderboard(scores, plan, record)
    write_csv(folder.table("csv"), table)
    if not (bands := band_table(scores, plan)).empty:
        write_csv(folder.root / "bands.csv", bands)
    if not (concepts := concept_table(scores, plan)).empty:
        write_csv(folder.root / "concepts.csv", concepts)
        write_text(folder.root / "concepts.md", markdown(concept_sheet(scores, plan, record.labels)))
    view = sheet(scores, table, plan, record, plain)
    for suffix, form in FORMATS.items():
        write_text(folder.table(suffix), form(view))
    return table


def terminal_tables(folder: RunFolder, plan: Plan, record: RunRecord, plain: bool = False) -> list[Any]:
    """The leaderboard for a terminal, from the stored files: what methods reach, remarks, and what they cost."""
    scores = read_scores(folder, record.rows, plan.metrics)
    table = leaderboard(scores, plan, record)
    heads = headings(scores, plan.metrics)
    from rich.markup import escape

    title = f"{'quick-' if plan.quick else ''}{plan.name}: erasing “{plan.subject}” from {plan.model}"
    views: list[Any] = []
    for text, is_cost in ((title, False), ("Cost", True)):
        names = [name for name in heads if heads[name].is_cost == is_cost]
        lines = table[~table["row"].isin(UNRANKED_ROWS)] if is_cost else table
        if names:
            shown = sheet(scores, lines, plan.model_copy(update={"metrics": names}), record, plain)
            views.append(terminal_table(text, shown))
            views += [] if is_cost else [escape(line) for line in remarks(scores, plan, record.labels)]
    if not concept_table(scores, plan).empty:
        views.insert(1, terminal_table("Each concept", concept_sheet(scores, plan, record.labels)))
    return views
