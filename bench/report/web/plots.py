"""The charts of a run: erasure against what is kept, the strength of variants, training steps, NudeNet's threshold."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...runs.attacks import read_attacks
from ...runs.rows import ORIGINAL
from ...runs.scores import ScoreRecord
from ...scoring.statistics import Estimate
from ..attack_rates import Rates, attack_rates
from ..headings import headings
from ..marks import not_erased, preserves
from .chart import Chart, Point, Series, chart
from .ladders import ladders
from .opened import OpenRun
from .visible import finite

DRAWS = 2_000  # from the values' standard errors, for how sure it is that none dominates
MOST_SERIES = 40  # that one chart can hold
HOLLOW = "A hollow dot did not erase: over half of what the original shows of the concept is left."
COSTS = ("unet_forwards", "train_seconds", "train_steps")  # the first that a run has is plotted


@dataclass(frozen=True)
class Plots:
    """Charts under a heading, with what they say."""

    title: str
    note: str
    charts: list[Chart]


def plots_of(run: OpenRun) -> list[Plots]:
    """What a run has to plot."""
    parts = (_against_preservation(run), _attacks(run), _cost(run), _strength(run), _timeline(run), _threshold(run))
    return [part for part in parts if part.charts]


def _against_preservation(run: OpenRun) -> Plots:
    heads, (erased, kept) = headings(run.scores, run.plan.metrics), _sides(run)
    note = (
        f"Each row’s value with its 95 % interval, both ways. {HOLLOW} Rows with a ring are dominated by no other "
        "method: none is better in one and at least as good in the other. The percentage says in how many of "
        f"{DRAWS:,} draws from the standard errors that there are, rows and axes independent, that is so."
    )
    charts = []
    for name in kept if erased else []:
        rows = [row for row in (ORIGINAL, *run.methods) if _known(run, row, erased) and _known(run, row, name)]
        methods = [row for row in rows if row != ORIGINAL][: MOST_SERIES - 1]
        if not methods:
            continue
        front, shares = _front(run, methods, erased, name)
        series = []
        for row in [row for row in rows if row == ORIGINAL or row in methods]:
            x, y = run.scores[row, erased], run.scores[row, name]
            share = f" · {shares[row]:.0%}" if row in shares else ""
            point = Point(_number(x.value), _number(y.value), _ends(x), _ends(y))
            told = f"{heads[erased].shown(x.value)} and {heads[name].shown(y.value)}"
            series.append(_row(run, row, point, told, share, row in front))
        title = f"{heads[erased].label} against {heads[name].label}"
        charts.append(chart(title, heads[erased].with_arrow, heads[name].with_arrow, series))
    return Plots("Erasure against what is kept", note, charts)


def _row(run: OpenRun, row: str, point: Point, told: str, more: str = "", is_strong: bool = False) -> Series:
    """A row as one point, hollow where it did not erase; `more` stands behind its label."""
    is_hollow = row in not_erased(run.scores, run.plan.metrics, run.methods)[1]
    told = f"{told}, did not erase" if is_hollow else told
    return Series(f"{run.label(row)}{more}", [point], list(run.record.rows).index(row), is_strong, told, is_hollow)


def _sides(run: OpenRun) -> tuple[str, list[str]]:
    """The first metric of the concept's images, and all of what is kept."""
    erased, kept = "", list[str]()
    for name in run.plan.metrics:
        score = next(
            (score for (row, metric), score in run.scores.items() if metric == name and row in run.methods), None
        )
        if score is None or score.is_cost:
            continue
        if preserves(score):
            kept.append(name)
        elif not erased:
            erased = name
    return erased, kept


def _front(run: OpenRun, rows: Sequence[str], *names: str) -> tuple[set[str], dict[str, float]]:
    """The rows that no other dominates, and for each row in which share of draws none does."""
    values, errors, signs = [], [], []
    for name in names:
        scores = [run.scores[row, name] for row in rows]
        values.append([_number(score.value) for score in scores])
        errors.append([finite(score.error) or 0.0 for score in scores])
        signs.append(1.0 if scores[0].better == "higher" else -1.0)
    mean, error, sign = np.array(values), np.array(errors), np.array(signs)[:, None]
    noise = np.random.default_rng(0).standard_normal((DRAWS, *mean.shape))
    drawn = _undominated(sign * (mean + error * noise)).mean(axis=0)
    now = _undominated(sign * mean[None])[0]
    shares = {row: float(share) for row, share in zip(rows, drawn, strict=True)} if error.any() else {}
    return {row for row, is_in in zip(rows, now, strict=True) if is_in}, shares


def _undominated(values: np.ndarray) -> np.ndarray:
    """Which rows no other dominates, (draws, rows), of values (draws, axes, rows) where more is better."""
    a, b = values[:, :, :, None], values[:, :, None, :]
    dominated = np.asarray((b >= a).all(axis=1) & (b > a).any(axis=1))
    return np.asarray(~dominated.any(axis=2))


def _attacks(run: OpenRun) -> Plots:
    """What the strongest attack finds, against what is kept: a model that draws nothing well resists, too."""
    attacks, heads, (_, kept) = read_attacks(run.folder), headings(run.scores, run.plan.metrics), _sides(run)
    strongest: dict[str, tuple[Rates, Estimate]] = {}
    for rates in attack_rates(attacks) if attacks else []:
        found = rates.final
        if found is not None and (rates.row not in strongest or found.value > strongest[rates.row][1].value):
            strongest[rates.row] = (rates, found)
    charts = []
    for name in kept if attacks else []:
        series = []
        for row in [row for row in run.methods if row in strongest and _known(run, row, name)]:
            rates, found = strongest[row]
            score, ends = run.scores[row, name], (found.low, found.high)
            point = Point(_number(score.value), found.value, _ends(score), None if None in ends else ends)  # type: ignore[arg-type]
            attack = attacks.attacks.get(rates.attack, rates.attack)  # type: ignore[union-attr]
            series.append(_row(run, row, point, f"{found.value:.2f}", f" · {attack}"))
        if series:
            title = f"Strongest attack against {heads[name].label}"
            charts.append(chart(title, heads[name].with_arrow, "prompts that show the concept ↓", series[:MOST_SERIES]))
    note = f"Of each row the attack that finds the concept for most prompts, with 95 % intervals. {HOLLOW}"
    return Plots("Attacks", note, charts)


def _cost(run: OpenRun) -> Plots:
    """Erasure and what is kept, against the first cost that was measured."""
    heads, (erased, kept) = headings(run.scores, run.plan.metrics), _sides(run)
    costs = [name for name in (*COSTS, *heads) if name in heads and heads[name].is_cost]
    cost = next((name for name in costs if any(_known(run, row, name) for row in run.methods)), None)
    charts = []
    known = [name for name in kept if any(_known(run, row, name) for row in run.methods)]
    for name in [*([erased] if erased else []), *known[-1:]] if cost else []:
        assert cost is not None
        series = []
        for row in [row for row in run.methods if _known(run, row, name) and _known(run, row, cost)]:
            x, y = run.scores[row, cost], run.scores[row, name]
            told = f"{heads[cost].shown(x.value)} and {heads[name].shown(y.value)}"
            point = Point(_number(x.value), _number(y.value), None, _ends(y))
            series.append(_row(run, row, point, told))
        if len(series) > 1:
            title = f"{heads[name].label} against {heads[cost].label}"
            charts.append(chart(title, heads[cost].with_arrow, heads[name].with_arrow, series[:MOST_SERIES]))
    note = f"What the erasure took; closed forms, which train nothing, stand at 0 steps and forwards. {HOLLOW}"
    return Plots("Cost", note, charts)


def _strength(run: OpenRun) -> Plots:
    """Rows that differ in one number."""
    heads, (erased, kept) = headings(run.scores, run.plan.metrics), _sides(run)
    charts = []
    for name in [erased, *kept] if erased else []:
        for ladder in ladders(run):
            points = [
                Point(strength, _number(run.scores[row, name].value), None, _ends(run.scores[row, name]))
                for strength, row in ladder.steps
                if _known(run, row, name)
            ]
            if len(points) > 1:
                title = f"{heads[name].label} by {ladder.who}’s {ladder.key}"
                charts.append(chart(title, ladder.key, heads[name].with_arrow, [Series(ladder.who, points)]))
    return Plots(
        "Strength", "Rows that differ in one number, with 95 % intervals; a LoRA’s scale 0 is the original.", charts
    )


def _timeline(run: OpenRun) -> Plots:
    heads = headings(run.scores, run.plan.metrics)
    charts = []
    for name, head in heads.items():
        curves: dict[str, list[tuple[int, ScoreRecord]]] = {}
        for snapshot, (row, step) in run.record.timeline.items():
            if _known(run, snapshot, name):
                curves.setdefault(row, []).append((step, run.scores[snapshot, name]))
        series = [
            Series(
                run.label(row),
                [Point(step, _number(score.value), None, _ends(score)) for step, score in curve],
                list(run.record.rows).index(row),
            )
            for row, curve in curves.items()
        ]
        if varied := _varied(series):
            charts.append(chart(f"{head.label} by training step", "training step", head.with_arrow, varied))
    return Plots("By training step", "Scores of snapshots, with 95 % intervals.", charts)


def _threshold(run: OpenRun) -> Plots:
    """NudeNet's rate by the least score, from the file that the run has written."""
    file, classes = run.folder.root / "nudenet.csv", run.plan.scoring.classes
    curves: dict[str, list[Point]] = {}
    if file.is_file():
        with file.open(newline="", encoding="utf-8") as lines:
            for line in csv.DictReader(lines):
                if line.get("classes") == classes and line.get("rate"):
                    ends = (float(line["low"]), float(line["high"])) if line["low"] and line["high"] else None
                    point = Point(float(line["threshold"]), float(line["rate"]), None, ends)
                    curves.setdefault(line["row"], []).append(point)
    shown = [row for row in list(run.record.rows) if row in curves]
    series = _varied([Series(run.label(row), curves[row], list(run.record.rows).index(row)) for row in shown])
    charts = [chart("NudeNet rate by threshold", "least score that counts", "NudeNet rate ↓", series)] if series else []
    note = f"Classes {classes}; the table’s rate is at {run.plan.scoring.threshold:g}."
    return Plots("NudeNet’s threshold", note, charts)


def _varied(series: Sequence[Series]) -> list[Series]:
    """The series of a chart that says anything: none where all values are equal."""
    values = {point.y for one in series for point in one.points}
    return list(series)[:MOST_SERIES] if len(values) > 1 else []


def _known(run: OpenRun, row: str, name: str) -> bool:
    score = run.scores.get((row, name))
    return score is not None and finite(score.value) is not None


def _number(value: float | None) -> float:
    assert value is not None  # it is asked for known ones
    return value


def _ends(score: ScoreRecord) -> tuple[float, float] | None:
    low, high = finite(score.low), finite(score.high)
    return None if low is None or high is None else (low, high)
