"""Several concepts erased at once: scores of each, their mean and the worst."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from erasebench.prompts.prompt import concept_of_prompt

from ..runs.plan import Plan
from ..runs.rows import REFERENCE
from ..runs.scores import ImageValue, ScoreRecord, Scores
from ..scoring.statistics import Estimate
from .headings import Heading
from .sheet import Cell, Column, Sheet
from .stored_scores import estimate_values

WORST = "the worst of the concepts, named; its interval is that concept's own"


def concept_table(scores: Scores, plan: Plan) -> pd.DataFrame:
    """One line a row, metric and concept: value, low, high and n; empty unless several concepts are erased."""
    lines: list[dict[str, Any]] = []
    for (row, metric), found in _by_concept(scores, plan).items():
        for concept, one in found.items():
            line: dict[str, Any] = {"row": row, "metric": metric, "concept": concept}
            if one is not None:
                line |= {"value": one.value, "low": one.low, "high": one.high, "n": one.n}
            lines.append(line)
    return pd.DataFrame(lines)


def concept_sheet(scores: Scores, plan: Plan, labels: Mapping[str, str]) -> Sheet:
    """A line a row; of each metric the value for each concept, the mean over them, and the worst."""
    found = _by_concept(scores, plan)
    metrics = list(dict.fromkeys(metric for _, metric in found))
    heads = {metric: _heading(next(r for (_, m), r in scores.items() if m == metric)) for metric in metrics}
    columns = [
        Column(label, heads[metric].with_arrow) for metric in metrics for label in (*plan.erased, "Mean", "Worst")
    ]
    body = [
        (
            labels[row],
            [
                cell
                for metric in metrics
                for cell in _cells(heads[metric], found.get((row, metric), {}), scores.get((row, metric)), plan)
            ],
        )
        for row in dict.fromkeys(row for row, _ in found)
    ]
    notes = [
        f"Each image is judged for the concept that its prompt asks for. Mean: over all {len(plan.erased)}, with as "
        f"many images each. Worst: {WORST}."
    ]
    return Sheet(f"Erasing “{plan.subject}” from {plan.model}: each concept", columns, [body], notes)


def _by_concept(scores: Scores, plan: Plan) -> dict[tuple[str, str], dict[str, Estimate | None]]:
    """By row and metric, each concept's estimate; of metrics with a value for each image of the concepts' prompts."""
    found: dict[tuple[str, str], dict[str, Estimate | None]] = {}
    for (row, metric), record in scores.items():
        if not plan.concepts or record.prompts != "concept" or not record.values or row == REFERENCE:
            continue
        apart: dict[str, list[ImageValue]] = {name: [] for name in plan.erased}
        for value in record.values:
            apart[plan.erased[concept_of_prompt(value.prompt) or 0]].append(value)
        found[row, metric] = {
            name: estimate_values(values, [value.value for value in values], record.is_rate) if values else None
            for name, values in apart.items()
        }
    return found


def _heading(record: ScoreRecord) -> Heading:
    return Heading(record.label, record.better, record.digits)


def _cells(heading: Heading, found: Mapping[str, Estimate | None], whole: ScoreRecord | None, plan: Plan) -> list[Cell]:
    known = {name: one for name, one in found.items() if one is not None}
    each = [_cell(heading, found.get(name)) for name in plan.erased]
    mean = Cell() if whole is None else Cell(heading.shown(whole.value), 0, "", heading.interval(whole.low, whole.high))
    if not known:
        return [*each, mean, Cell()]
    sign = 1 if heading.better == "lower" else -1
    name = max(known, key=lambda name: sign * known[name].value)
    worst = _cell(heading, known[name])
    return [*each, mean, Cell(f"{worst.text} ({name})", hint=worst.hint, interval=worst.interval)]


def _cell(heading: Heading, one: Estimate | None) -> Cell:
    if one is None:
        return Cell()
    ends = heading.interval(one.low, one.high)
    return Cell(heading.shown(one.value), hint=f"n = {one.n}", interval=ends)
