"""The leaderboard: a pure function of a run's stored scores, as CSV, Markdown, LaTeX and HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .errors import BenchError
from .layout import ORIGINAL, REFERENCE, RunFolder
from .plan import Plan
from .protocols import deviations, get_protocol
from .registry import METRICS
from .render import NONE, Cell, Column, Sheet, html, latex, markdown
from .run_record import RunRecord
from .store import read_json, write_csv, write_text
from .terminal import terminal_table

TABLE_VERSION = 3  # raise it when the tables' form changes
UNRANKED_ROWS = (ORIGINAL, REFERENCE)
ARROWS = {"lower": "↓", "higher": "↑"}
FORMATS = {"md": markdown, "tex": latex, "html": html}

Scores = dict[tuple[str, str], dict[str, Any]]


@dataclass(frozen=True)
class Heading:
    """How a metric's column is headed and printed; `is_cost` columns are not ranked."""

    label: str
    better: str = "higher"
    digits: int = 3
    is_cost: bool = False

    @property
    def with_arrow(self) -> str:
        return f"{self.label} {ARROWS[self.better]}"

    def shown(self, value: float | None) -> str:
        """A value as tables print it; an em dash for none."""
        return NONE if value is None or not np.isfinite(value) else f"{value:.{self.digits}f}"


def read_scores(folder: RunFolder, rows: Sequence[str], metrics: Sequence[str]) -> Scores:
    """The stored scores by row and metric; those that are missing are absent."""
    found = {(row, name): read_json(folder.score(row, name)) for row in rows for name in metrics}
    return {cell: record for cell, record in found.items() if record is not None}


def leaderboard(scores: Scores, plan: Plan, record: RunRecord) -> pd.DataFrame:
    """One line a row: row, label, model, concept, seeds, failed, then value, low, high, n and seed_sd of each metric.

    `failed` names the metrics that could not be computed.
    `seeds` are of the row's trainings; a closed form is trained once, whatever the seed.
    `seed_sd` is the standard deviation of the trainings' means, where there are several: how much trainings differ.
    """
    lines = []
    for row in record.rows:
        failed = [name for name in plan.metrics if record.failure_of(row, name)]
        line: dict[str, Any] = {
            "row": row, "label": record.labels[row], "model": plan.model, "concept": plan.concept,
            "seeds": _trainings(record, row), "failed": " ".join(failed),
        }  # fmt: skip
        for name in plan.metrics:
            score = scores.get((row, name), {})
            line |= {name: score.get("value"), f"{name}_low": score.get("low"), f"{name}_high": score.get("high")}
            line |= {f"{name}_n": score.get("n", 0), f"{name}_seed_sd": seed_deviation(score)}
        lines.append(line)
    return pd.DataFrame(lines)


def _trainings(record: RunRecord, row: str) -> str:
    """A row's training seeds; empty for what is not trained."""
    seeds = record.trainings.get(row)
    return "" if seeds is None else " ".join(map(str, seeds)) or "closed form"


def seed_deviation(record: Mapping[str, Any]) -> float | None:
    """The standard deviation of the trainings' mean values; None under two seeds or without values an image."""
    by_seed: dict[int, list[float]] = {}
    for value in record.get("values", ()):
        if value["value"] is not None:
            by_seed.setdefault(value["seed"], []).append(value["value"])
    means = [np.mean(values) for values in by_seed.values()]
    return float(np.std(means, ddof=1)) if len(means) > 1 else None


def places(values: Mapping[str, float | None], heading: Heading) -> dict[str, int]:
    """1 for the best and 2 for the second best by shown value; ties share a place; none for a single value or cost."""
    shown = {row: float(heading.shown(value)) for row, value in values.items() if heading.shown(value) != NONE}
    if heading.is_cost or len(shown) < 2:
        return {}
    best = sorted(set(shown.values()), reverse=heading.better == "higher")[:2]
    return {row: best.index(value) + 1 for row, value in shown.items() if value in best}


def headings(scores: Scores, metrics: Sequence[str]) -> dict[str, Heading]:
    """How each metric is headed, from the scores; a qualifier such as "judge" stands behind the label."""
    found = {}
    for name in metrics:
        records = [record for (_, metric), record in scores.items() if metric == name]
        if not records:
            found[name] = _defined(name)
            continue
        qualifier = next((record["qualifier"] for record in records if record["qualifier"]), "")
        label = f"{records[0]['label']} ({qualifier})" if qualifier else records[0]["label"]
        found[name] = Heading(label, records[0]["better"], records[0]["digits"], records[0]["is_cost"])
    return found


def _defined(name: str) -> Heading:
    """The heading of a column without any score, from the metric's definition."""
    try:
        metric = METRICS.load(name)
    except BenchError:  # its package is not installed here
        return Heading(name)
    return Heading(metric.label, metric.better, metric.digits, metric.is_cost)


def footnotes(scores: Scores, plan: Plan, prompts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the numbers depend on: prompts, sampler, n, detectors, versions, and why cells are empty."""
    drawn = plan.generation
    seeds = " ".join(map(str, plan.seeds))
    sampler = f"{drawn.scheduler.upper()} {drawn.steps} steps, guidance {drawn.guidance:g}"
    lines = [
        f"Model {plan.model}, concept “{plan.concept}”, training seeds {seeds} (closed forms are trained once), image "
        f"seed {plan.image_seed}; {sampler}, size {drawn.size or 'the model’s own'}. Best bold, second best "
        "underlined, among methods; 95 % intervals over prompts in the CSV file."
    ]
    if plan.protocol is not None:
        differs = deviations(plan.protocol, plan.model_dump())
        lines.append(
            f"Protocol {plan.protocol} ({get_protocol(plan.protocol).source})"
            + (f", except {'; '.join(differs)}." if differs else ", as it stands.")
        )
    for role, used in prompts.items():
        own = [
            f"{used[f'own_{what}']} with their own {what}"
            for what in ("seed", "guidance", "size")
            if used[f"own_{what}"]
        ]
        own += [f"{used['truncated']} over 77 tokens and cut"] if used.get("truncated") else []
        size = f"{used['size']} of {used['available']} prompts from {used['clusters']} templates"
        text = ", ".join([f"{used['source']}", size, *own, f"hash {used['hash'][:16]}"])
        lines.append(f"Prompts “{role}”: {text}.")
    for name, heading in headings(scores, plan.metrics).items():
        if not heading.is_cost:
            lines.append(_metric_note(scores, name, heading))
    return lines


def _metric_note(scores: Scores, name: str, heading: Heading) -> str:
    records = {row: record for (row, metric), record in scores.items() if metric == name}
    counts = sorted({record["n"] for row, record in records.items() if record["n"] and row != REFERENCE})
    shown = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}" if counts else "n = 0"
    parts = [shown]
    if (real := records.get(REFERENCE, {})).get("n"):
        parts[0] += f", {real['n']} real images"
    if unscored := [text for record in records.values() for text in record["unscored"]]:
        parts.append(f"{len(unscored)} images unscored, such as {unscored[0]}")
    parts += dict.fromkeys(r["note"] for row, r in records.items() if r["note"] and row != REFERENCE)
    if reasons := sorted({r["reason"] for row, r in records.items() if r["reason"] and row not in UNRANKED_ROWS}):
        parts.append(f"empty: {'; '.join(reasons)}")
    return f"{heading.label}: {'; '.join(parts)}."


def sheet(scores: Scores, table: pd.DataFrame, plan: Plan, record: RunRecord) -> Sheet:
    """The leaderboard in its neutral form: the original, the methods, the real images; failed cells say so."""
    heads = headings(scores, plan.metrics)
    ranked = table[~table["row"].isin(UNRANKED_ROWS)]
    marks = {name: places(dict(zip(ranked["row"], ranked[name], strict=True)), head) for name, head in heads.items()}
    lines = {}
    for _, line in table.iterrows():
        cells = [
            Cell("failed", hint=_first_line(failure.reason))
            if (failure := record.failure_of(str(line["row"]), name))
            else Cell(head.shown(line[name]), marks[name].get(line["row"], 0), _hint(line, name, head))
            for name, head in heads.items()
        ]
        lines[str(line["row"])] = (str(line["label"]), cells)
    parts = ([ORIGINAL], [row for row in lines if row not in UNRANKED_ROWS], [REFERENCE])
    sections = [[lines[row] for row in part if row in lines] for part in parts]
    caption = f"Erasing “{plan.concept}” from {plan.model}"
    columns = [Column(head.with_arrow) for head in heads.values()]
    notes = footnotes(scores, plan, record.prompts)
    for row, texts in record.truncated.items():
        count = f"{len(texts)} texts of its training are over 77 tokens and cut"
        notes.append(f"{record.labels[row]}: {count}, such as “{texts[0][:40]}…”.")
    notes += [images.described(record.labels.get(images.row, images.row)) for images in record.drawn]
    notes += record.remarks
    notes += [f"Failed: {failure.cell}: {_first_line(failure.reason)}" for failure in record.failures]
    return Sheet(caption, columns, [part for part in sections if part], notes)


def _first_line(text: str) -> str:
    return text.split("\n")[0]


def _hint(line: pd.Series[Any], name: str, heading: Heading) -> str:
    return interval_hint(heading, line[f"{name}_low"], line[f"{name}_high"], line[f"{name}_n"])


def interval_hint(heading: Heading, low: float | None, high: float | None, n: int) -> str:
    """A value's interval and n as a cell's hint; "" where there is no interval."""
    shown = heading.shown(low), heading.shown(high)
    return "" if NONE in shown else f"95 % interval {shown[0]} to {shown[1]}, n = {n}"


def write_tables(folder: RunFolder, plan: Plan, record: RunRecord) -> pd.DataFrame:
    """Write leaderboard.csv, .md, .tex and .html from the stored scores."""
    scores = read_scores(folder, record.rows, plan.metrics)
    table = leaderboard(scores, plan, record)
    write_csv(folder.table("csv"), table)
    view = sheet(scores, table, plan, record)
    for suffix, form in FORMATS.items():
        write_text(folder.table(suffix), form(view))
    return table


def terminal_tables(folder: RunFolder, plan: Plan, record: RunRecord) -> list[Any]:
    """The leaderboard for a terminal, from the stored files: what methods reach, and below it what they cost."""
    scores = read_scores(folder, record.rows, plan.metrics)
    table = leaderboard(scores, plan, record)
    heads = headings(scores, plan.metrics)
    title = f"{plan.name}: erasing “{plan.concept}” from {plan.model}"
    views = []
    for text, is_cost in ((title, False), ("Cost", True)):
        names = [name for name in heads if heads[name].is_cost == is_cost]
        lines = table[~table["row"].isin(UNRANKED_ROWS)] if is_cost else table
        if names:
            shown = sheet(scores, lines, plan.model_copy(update={"metrics": names}), record)
            views.append(terminal_table(text, shown))
    return views
