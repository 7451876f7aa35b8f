"""Table 1 again: the paper's rows and columns, measured beside published, and how well the two orders agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..runs.folder import RunFolder
from ..runs.plan import Plan
from ..runs.record import RunRecord, read_run
from ..runs.rows import ORIGINAL, REFERENCE, UNRANKED_ROWS
from ..runs.scores import Scores, read_scores
from ..scoring.statistics import rank_correlation
from ..storage.files import write_csv, write_text
from .headings import ARROWS, Heading, footnotes, headings, places
from .leaderboard import FORMATS, banner, interval_hint
from .published import PublishedTable, published_table
from .sheet import NONE, Cell, Column, Sheet

PUBLISHED, PAPERS_MODEL = "all-but-one", "sd-v1-4"
CORRELATION = "rank correlation"  # the last row
NOT_COMPARABLE = "†"


def write_table1(folder: RunFolder) -> Sheet:
    """Write table1.csv, .md, .tex and .html into a run's folder from its stored scores.

    Raises:
        BenchError: the folder holds no run.
    """
    plan, record = read_run(folder)
    published = published_table(PUBLISHED)
    rows = [row for row in published.rows if row in record.rows]
    scores = read_scores(folder, rows, plan.metrics)
    numbers = compared(scores, plan, published, rows, record.labels)
    write_csv(folder.root / "table1.csv", numbers)
    view = table1_sheet(numbers, scores, plan, published, record)
    for suffix, form in FORMATS.items():
        write_text(folder.root / f"table1.{suffix}", form(view))
    return view


def compared(
    scores: Scores, plan: Plan, published: PublishedTable, rows: Sequence[str], labels: Mapping[str, str]
) -> pd.DataFrame:
    """One line a row and column: measured with low, high, n, its interval in words, published, and the difference.

    A last line for each column has Spearman's ρ of the two over the methods, with how many methods those are.
    """
    lines: list[dict[str, Any]] = []
    for key, column in published.columns.items():
        metric = column.measured_by(plan.family)
        pairs: list[tuple[float, float]] = []
        for row in rows:
            record, printed = scores.get((row, metric)), published.rows[row][key]
            value = record.value if record else None
            line = {
                "row": row,
                "label": labels[row],
                "column": key,
                "metric": metric,
                "measured": value,
                "low": record.low if record else None,
                "high": record.high if record else None,
                "n": record.n if record else 0,
                "interval": record.covers if record else "",
                "published": printed,
            }
            if value is not None and printed is not None:
                line["difference"] = value - printed
                pairs += [] if row in UNRANKED_ROWS else [(value, printed)]
            lines.append(line)
        lines.append(
            {
                "row": CORRELATION,
                "label": "Rank correlation ρ",
                "column": key,
                "metric": metric,
                "measured": rank_correlation([a for a, _ in pairs], [b for _, b in pairs]),
                "n": len(pairs),
            }
        )
    table = pd.DataFrame(lines)
    numbers = ["measured", "low", "high", "published", "difference"]
    return table.astype({name: float for name in numbers if name in table})


def table1_sheet(
    numbers: pd.DataFrame, scores: Scores, plan: Plan, published: PublishedTable, record: RunRecord
) -> Sheet:
    """The comparison in its neutral form: for each of the paper's columns measured, paper and difference."""
    columns: list[Column] = []
    cells: dict[str, list[Cell]] = {}
    for key, column in published.columns.items():
        metric = column.measured_by(plan.family)
        mine = headings(scores, [metric])[metric]
        # Another metric, by other features than usual, or of another model: no number to set beside the paper's.
        another = metric != column.metric or "(" in mine.label or plan.model != PAPERS_MODEL
        name = mine.label.replace(column.heading.label, "").strip(" ()") or "measured"
        group = f"{column.heading.label} {ARROWS[column.heading.better]}"
        columns += [
            Column(f"{name}{NOT_COMPARABLE if another else ''}", group),
            Column("paper", group),
            Column("Δ", group),
        ]
        for row, three in _cells(numbers[numbers["column"] == key], column.heading, plan.quick).items():
            cells.setdefault(row, []).extend(three)
    labels = dict(zip(numbers["row"], numbers["label"], strict=True))
    methods = [row for row in cells if row not in (*UNRANKED_ROWS, CORRELATION)]
    parts = ([ORIGINAL], methods, [REFERENCE], [CORRELATION])
    sections = [[(str(labels[row]), cells[row]) for row in part if row in cells] for part in parts]
    caption = f"Table 1 of “All but One”, measured on {plan.model} beside published"
    flagged = any(NOT_COMPARABLE in column.label for column in columns)
    notes = _notes(scores, plan, published, record, flagged, len(methods))
    return Sheet(caption, columns, [part for part in sections if part], notes, banner(plan))


def _cells(part: pd.DataFrame, heading: Heading, quick: bool) -> dict[str, list[Cell]]:
    """Measured, published and difference of each row of one column; methods alone are ranked, a trial's not."""
    methods = part[~part["row"].isin((*UNRANKED_ROWS, CORRELATION))]
    first, second = (
        places(dict(zip(methods["row"], methods[side], strict=True)), heading) for side in ("measured", "published")
    )
    if quick:
        first = {}
    found = {}
    for _, line in part.iterrows():
        row = str(line["row"])
        if row == CORRELATION:
            shown = NONE if np.isnan(line["measured"]) else _signed(f"{line['measured']:.2f}")
            found[row] = [Cell(shown, hint=f"over {line['n']} methods"), Cell(""), Cell("")]
            continue
        difference = line.get("difference", np.nan)
        found[row] = [
            Cell(
                heading.shown(line["measured"]),
                first.get(row, 0),
                interval_hint(heading, line["low"], line["high"], line["n"], line["interval"]),
                heading.interval(line["low"], line["high"]),
            ),
            Cell(heading.shown(line["published"]), second.get(row, 0)),
            Cell(NONE if np.isnan(difference) else _signed(f"{difference:+.{heading.digits}f}")),
        ]
    return found


def _signed(number: str) -> str:
    """With a minus sign, not a hyphen."""
    return number.replace("-", "−")


def _notes(
    scores: Scores, plan: Plan, published: PublishedTable, record: RunRecord, flagged: bool, methods: int
) -> list[str]:
    lines = [
        f"Published: {published.source}.",
        "Original (SD v1.4 in the paper) and Real images (COCO in the paper) are not ranked. Rank correlation: "
        f"Spearman's ρ of measured and published over the {methods} methods.",
    ]
    if flagged:
        lines.append(
            f"{NOT_COMPARABLE} Another quantity than the paper's (another model, detector or features): only the order "
            "of the methods can be compared; the difference Δ is arithmetic, no deviation."
        )
    used = {column.measured_by(plan.family) for column in published.columns.values()}
    shown = {key: record for key, record in scores.items() if key[1] in used}
    kept = plan.model_copy(update={"metrics": [name for name in plan.metrics if name in used]})
    return [*lines, *published.notes, *footnotes(shown, kept, record, plain=True)]
