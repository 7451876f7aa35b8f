"""How metrics are headed and ranked, and what stands under a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import BenchError
from ..registry import METRICS
from ..runs.plan import Plan
from ..runs.protocols import deviations, get_protocol
from ..runs.record import RunRecord
from ..runs.rows import ORIGINAL, REFERENCE, UNRANKED_ROWS
from ..runs.scores import ScoreRecord, Scores
from .bands import by_band, is_banded
from .marks import TELLS_FROM, not_erased, preserves, tells_nothing
from .sheet import NONE
from .stored_scores import agreement

ARROWS = {"lower": "↓", "higher": "↑"}
QUICK = "Quick trial: few images and steps. These numbers only show that everything works."
TESTED_MARKS = (
    "Bold: the best method and all that are not significantly worse (paired tests at 5 % a column, Holm; with one or "
    "two trainings they hold for these alone); nothing without an interval."
)
PLAIN_MARKS = "Best bold, second best underlined by the shown value, among methods."


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

    def interval(self, low: float | None, high: float | None) -> str:
        """An interval as tables print it; "" where an end is missing."""
        ends = self.shown(low), self.shown(high)
        return "" if NONE in ends else " to ".join(ends)


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
        qualifier = next((record.qualifier for record in records if record.qualifier), "")
        one = records[0]
        label = f"{one.label} ({qualifier})" if qualifier else one.label
        found[name] = Heading(label, one.better, one.digits, one.is_cost)
    return found


def _defined(name: str) -> Heading:
    """The heading of a column without any score, from the metric's definition."""
    try:
        metric = METRICS.load(name)
    except BenchError:  # its package is not installed here
        return Heading(name)
    return Heading(metric.label, metric.better, metric.digits, metric.is_cost)


def footnotes(scores: Scores, plan: Plan, record: RunRecord, plain: bool = False) -> list[str]:
    """What the numbers depend on: prompts, sampler, n, detectors, versions, intervals, and why cells are empty.

    `plain` says that marks are those of a paper, not of tests.
    """
    drawn = plan.generation
    seeds = " ".join(map(str, plan.seeds))
    sampler = f"{drawn.scheduler.upper()} {drawn.steps} steps, guidance {drawn.guidance:g}"
    if "generation" in record.precision:
        sampler += f", {record.precision['generation']} in batches of {record.batch_size}"
    marks = "No marks." if plan.quick else PLAIN_MARKS if plain else TESTED_MARKS
    lines = [
        f"Model {plan.model}, concept “{plan.subject}”, training seeds {seeds} (closed forms are trained once), image "
        f"seed {plan.image_seed}; {sampler}, size {drawn.size or 'the model’s own'}. {marks}"
    ]
    if plan.protocol is not None:
        differs = deviations(plan.protocol, plan.model_dump())
        lines.append(
            f"Protocol {plan.protocol} ({get_protocol(plan.protocol).source})"
            + (f", except {'; '.join(differs)}." if differs else ", as it stands.")
        )
    for role, used in sorted(record.prompts.items()):
        own = [
            f"{used[f'own_{what}']} with their own {what}"
            for what in ("seed", "guidance", "size")
            if used[f"own_{what}"]
        ]
        own += [f"{used['truncated']} over 77 tokens and cut"] if used.get("truncated") else []
        chosen = f"{used['size']} of {used['available']}" if used["size"] < used["available"] else f"{used['size']}"
        alone = used["clusters"] == used["size"]  # no two prompts share a template
        size = f"{chosen} prompts" + ("" if alone else f" from {used['clusters']} templates")
        text = ", ".join([f"{used['source']}", size, *own, f"hash {used['hash'][:16]}"])
        lines.append(f"Prompts “{role}”: {text}.")
    for name, heading in headings(scores, plan.metrics).items():
        if not heading.is_cost:
            lines.append(_metric_note(scores, name, heading, plan))
    return lines


def _metric_note(scores: Scores, name: str, heading: Heading, plan: Plan) -> str:
    records = {row: record for (row, metric), record in scores.items() if metric == name}
    counts = sorted({record.n for row, record in records.items() if record.n and row != REFERENCE})
    shown = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}" if counts else "n = 0"
    parts = [shown, *_intervals(records)]
    real = records.get(REFERENCE)
    if real is not None and real.n:
        parts[0] += f", {real.n} real images"
    if unscored := [text for record in records.values() for text in record.unscored]:
        parts.append(f"{len(unscored)} images unscored, such as {unscored[0]}")
    parts += dict.fromkeys(r.note for row, r in records.items() if r.note and row != REFERENCE)
    parts += [*_by_band(records, heading, plan), *_made_of(records, heading), *_second_opinion(records, heading)]
    if reasons := sorted({r.reason for row, r in records.items() if r.reason and row not in UNRANKED_ROWS}):
        parts.append(f"empty: {'; '.join(reasons)}")
    return f"{heading.label}: {'; '.join(parts)}."


def _by_band(records: Mapping[str, ScoreRecord], heading: Heading, plan: Plan) -> list[str]:
    """Each row's means by band of relation, from the nearest relatives on, for the prompt set of bands."""
    found = {row: by_band(record) for row, record in records.items() if is_banded(record, plan)}
    names = list(dict.fromkeys(band for bands in found.values() for band in bands))
    shown = []
    for row, bands in found.items():
        known = {band: [v.value for v in values if v.value is not None] for band, values in bands.items()}
        shown.append(
            f"{row} {', '.join(heading.shown(float(np.mean(known[b])) if known.get(b) else None) for b in names)}"
        )
    return [f"by band ({', '.join(names)}; intervals in bands.csv): {'; '.join(shown)}"] if found else []


def _made_of(records: Mapping[str, ScoreRecord], heading: Heading) -> list[str]:
    """The means that each row's value is made of."""
    found = {row: record.parts for row, record in records.items() if record.parts}
    names = list(dict.fromkeys(name for parts in found.values() for name in parts))
    if not found:
        return []
    shown = [f"{row} {', '.join(heading.shown(parts.get(name)) for name in names)}" for row, parts in found.items()]
    return [f"parts ({', '.join(names)}): {'; '.join(shown)}"]


def _second_opinion(records: Mapping[str, ScoreRecord], heading: Heading) -> list[str]:
    """How far a second judge agrees, and each row's value by it."""
    agreed = {row: share for row, record in records.items() if (share := agreement(record)) is not None}
    if not agreed:
        return []
    least = min(agreed, key=lambda row: agreed[row])
    values = ", ".join(f"{row} {heading.shown(records[row].second)}" for row in agreed)
    return [
        f"a second judge, trained apart, agrees on {np.mean(list(agreed.values())):.1%} of a row's images on average, "
        f"least on {agreed[least]:.1%} ({least}); by it: {values}"
    ]


def _intervals(records: Mapping[str, ScoreRecord]) -> list[str]:
    """In words what a column's 95 % intervals are over, with the rows where they differ."""
    found: dict[str, list[str]] = {}
    for row in sorted(records, key=lambda row: row in UNRANKED_ROWS):  # the methods first
        if covers := records[row].covers:
            found.setdefault(covers, []).append(row)
    lines = []
    for covers, rows in found.items():
        text = covers if covers.startswith("no interval") else f"95 % interval over {covers}"
        lines.append(text if len(found) == 1 else f"{text} ({', '.join(rows)})")
    return lines


def _conditions(scores: Scores, name: str) -> list[str]:
    """Under which conditions a cost was measured, with the rows of each."""
    found: dict[str, list[str]] = {}
    for (row, metric), record in scores.items():
        if metric == name and record.value is not None:
            found.setdefault(record.note, []).append(row)
    return [f"{note or 'no condition is known'} ({', '.join(rows)})" for note, rows in found.items()]


def remarks(scores: Scores, plan: Plan, labels: Mapping[str, str]) -> list[str]:
    """What keeps columns or rows from being ranked."""
    heads = headings(scores, plan.metrics)
    lines = [
        f"{heads[name].label}: {'only' if heads[name].better == 'lower' else 'already'} "
        f"{heads[name].shown(scores[ORIGINAL, name].value)} of the original itself, "
        f"{'under' if heads[name].better == 'lower' else 'over'} {TELLS_FROM:g}: this column tells nothing of erasure "
        "and is not ranked."
        for name in plan.metrics
        if tells_nothing(scores, name)
    ]
    lines += [
        f"{heads[name].label}: {'; '.join(conditions)}: these do not compare. --exclusive-erase trains one at a time."
        for name in plan.metrics
        if name in heads and heads[name].is_cost and len(conditions := _conditions(scores, name)) > 1
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


def first_line(text: str) -> str:
    return text.split("\n")[0]
