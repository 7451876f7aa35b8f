"""The leaderboard: a pure function of a run's stored scores, as CSV, Markdown, LaTeX and HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .errors import BenchError
from .layout import ORIGINAL, REFERENCE, RunFolder
from .marks import TELLS_FROM, marked, not_erased, preserves, tells_nothing
from .plan import Plan
from .protocols import deviations, get_protocol
from .registry import METRICS
from .render import NONE, Cell, Column, Sheet, html, latex, markdown
from .run_record import RunRecord
from .store import read_json, write_csv, write_text
from .stored_scores import training_values
from .terminal import terminal_table

TABLE_VERSION = 4  # raise it when the tables' form changes
UNRANKED_ROWS = (ORIGINAL, REFERENCE)
ARROWS = {"lower": "↓", "higher": "↑"}
QUICK = "Quick trial: few images and steps. These numbers only show that everything works."
TESTED_MARKS = (
    "Bold: the best method and all that are not significantly worse (paired tests at 5 % a column, Holm); nothing "
    "without an interval."
)
PLAIN_MARKS = "Best bold, second best underlined by the shown value, among methods."
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
            "row": row, "label": record.labels[row], "model": plan.model, "concept": plan.concept,
            "seeds": _trainings(record, row), "failed": " ".join(failed), "quick": plan.quick,
        }  # fmt: skip
        for name in plan.metrics:
            score = scores.get((row, name), {})
            line |= {name: score.get("value"), f"{name}_low": score.get("low"), f"{name}_high": score.get("high")}
            line |= {f"{name}_n": score.get("n", 0), f"{name}_training_sd": training_deviation(score)}
        lines.append(line)
    return pd.DataFrame(lines)


def _trainings(record: RunRecord, row: str) -> str:
    """A row's training seeds; empty for what is not trained."""
    seeds = record.trainings.get(row)
    return "" if seeds is None else " ".join(map(str, seeds)) or "closed form"


def training_deviation(record: Mapping[str, Any]) -> float | None:
    """The standard deviation of the trainings' own values; None under two trainings."""
    values = list(training_values(record).values())
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def places(values: Mapping[str, float | None], heading: Heading) -> dict[str, int]:
    """The marks of a paper: 1 for the best and 2 for the second best by shown value.

    Ties share a place; after a shared first there is no second. None for a single value or cost.
    """
    shown = {row: float(heading.shown(value)) for row, value in values.items() if heading.shown(value) != NONE}
    if heading.is_cost or len(shown) < 2:
        return {}
    best = sorted(set(shown.values()), reverse=heading.better == "higher")
    first = [row for row, value in shown.items() if value == best[0]]
    second = [row for row, value in shown.items() if len(first) == 1 and value == best[1]]
    return dict.fromkeys(first, 1) | dict.fromkeys(second, 2)


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


def footnotes(scores: Scores, plan: Plan, prompts: Mapping[str, Mapping[str, Any]], plain: bool = False) -> list[str]:
    """What the numbers depend on: prompts, sampler, n, detectors, versions, intervals, and why cells are empty.

    `plain` says that marks are those of a paper, not of tests.
    """
    drawn = plan.generation
    seeds = " ".join(map(str, plan.seeds))
    sampler = f"{drawn.scheduler.upper()} {drawn.steps} steps, guidance {drawn.guidance:g}"
    marks = "No marks." if plan.quick else PLAIN_MARKS if plain else TESTED_MARKS
    lines = [
        f"Model {plan.model}, concept “{plan.concept}”, training seeds {seeds} (closed forms are trained once), image "
        f"seed {plan.image_seed}; {sampler}, size {drawn.size or 'the model’s own'}. {marks}"
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
    parts = [shown, *_intervals(records)]
    if (real := records.get(REFERENCE, {})).get("n"):
        parts[0] += f", {real['n']} real images"
    if unscored := [text for record in records.values() for text in record["unscored"]]:
        parts.append(f"{len(unscored)} images unscored, such as {unscored[0]}")
    parts += dict.fromkeys(r["note"] for row, r in records.items() if r["note"] and row != REFERENCE)
    if reasons := sorted({r["reason"] for row, r in records.items() if r["reason"] and row not in UNRANKED_ROWS}):
        parts.append(f"empty: {'; '.join(reasons)}")
    return f"{heading.label}: {'; '.join(parts)}."


def _intervals(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """In words what a column's 95 % intervals are over, with the rows where they differ."""
    found: dict[str, list[str]] = {}
    for row in sorted(records, key=lambda row: row in UNRANKED_ROWS):  # the methods first
        if covers := records[row].get("covers"):
            found.setdefault(covers, []).append(row)
    lines = []
    for covers, rows in found.items():
        text = covers if covers.startswith("no interval") else f"95 % interval over {covers}"
        lines.append(text if len(found) == 1 else f"{text} ({', '.join(rows)})")
    return lines


def remarks(scores: Scores, plan: Plan, labels: Mapping[str, str]) -> list[str]:
    """What keeps columns or rows from being ranked."""
    heads = headings(scores, plan.metrics)
    lines = [
        f"{heads[name].label}: only {heads[name].shown(scores[ORIGINAL, name]['value'])} of the original itself, under "
        f"{TELLS_FROM:g}: this column tells nothing of erasure and is not ranked."
        for name in plan.metrics
        if tells_nothing(scores, name)
    ]
    rate, left = not_erased(scores, plan.metrics, plan.rows)
    kept = [
        heads[name].label
        for name in plan.metrics
        if any(preserves(scores[row, name]) for row in left if (row, name) in scores)
    ]
    if left and kept:
        names = ", ".join(labels.get(row, row) for row in left)
        lines.append(
            f"Not ranked by {', '.join(kept)}: {names}, over half of the original’s {heads[rate].label} is left."
        )
    return lines


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
            Cell("failed", hint=_first_line(failure.reason))
            if (failure := record.failure_of(row, name))
            else Cell(head.shown(line[name]), marks.get(name, {}).get(row, 0), _hint(scores.get((row, name), {}), head))
            for name, head in heads.items()
        ]
        lines[row] = (str(line["label"]), cells)
    parts = ([ORIGINAL], [row for row in lines if row not in UNRANKED_ROWS], [REFERENCE])
    sections = [[lines[row] for row in part if row in lines] for part in parts]
    caption = f"Erasing “{plan.concept}” from {plan.model}"
    columns = [Column(head.with_arrow) for head in heads.values()]
    notes = footnotes(scores, plan, record.prompts, plain)
    if not plain:
        notes[1:1] = remarks(scores, plan, record.labels)
    for row, texts in record.truncated.items():
        count = f"{len(texts)} texts of its training are over 77 tokens and cut"
        notes.append(f"{record.labels[row]}: {count}, such as “{texts[0][:40]}…”.")
    notes += [images.described(record.labels.get(images.row, images.row)) for images in record.drawn]
    notes += record.remarks
    notes += [f"Failed: {failure.cell}: {_first_line(failure.reason)}" for failure in record.failures]
    return Sheet(caption, columns, [part for part in sections if part], notes, banner(plan))


def banner(plan: Plan) -> str:
    """What stands above the table of a trial; "" for a run that is meant."""
    return QUICK if plan.quick else ""


def _marks(scores: Scores, heads: Mapping[str, Heading], rows: list[str], plain: bool) -> dict[str, dict[str, int]]:
    """By metric and row: 1 for bold, 2 for underlined."""
    if plain:
        return {
            name: places({row: scores[row, name]["value"] for row in rows if (row, name) in scores}, head)
            for name, head in heads.items()
        }
    return {name: dict.fromkeys(best, 1) for name, best in marked(scores, list(heads), rows).items()}


def _first_line(text: str) -> str:
    return text.split("\n")[0]


def _hint(record: Mapping[str, Any], heading: Heading) -> str:
    found = [record.get(key) for key in ("low", "high", "n")]
    return interval_hint(heading, *found, str(record.get("covers", "")))


def interval_hint(heading: Heading, low: float | None, high: float | None, n: int | None, covers: str) -> str:
    """A value's interval, what it is over and n as a cell's hint; without an interval, why."""
    shown = heading.shown(low), heading.shown(high)
    if NONE in shown:
        return covers
    return f"95 % interval {shown[0]} to {shown[1]}{f' over {covers}' if covers else ''}, n = {n}"


def write_tables(folder: RunFolder, plan: Plan, record: RunRecord, plain: bool = False) -> pd.DataFrame:
    """Write leaderboard.csv, .md, .tex and .html from the stored scores; `plain` as for `sheet`."""
    scores = read_scores(folder, record.rows, plan.metrics)
    table = leaderboard(scores, plan, record)
    write_csv(folder.table("csv"), table)
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

    title = f"{'quick-' if plan.quick else ''}{plan.name}: erasing “{plan.concept}” from {plan.model}"
    views = []
    for text, is_cost in ((title, False), ("Cost", True)):
        names = [name for name in heads if heads[name].is_cost == is_cost]
        lines = table[~table["row"].isin(UNRANKED_ROWS)] if is_cost else table
        if names:
            shown = sheet(scores, lines, plan.model_copy(update={"metrics": names}), record, plain)
            views.append(terminal_table(text, shown))
            views += [] if is_cost else [escape(line) for line in remarks(scores, plan, record.labels)]
    return views
