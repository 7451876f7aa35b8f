"""Whether a run's scores are still those of a baseline: identical set-ups must agree, others are tested."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from .baseline import Baseline, Score
from .stats import holm

ROUNDING = 1e-6  # relative: what identical set-ups may differ by
LEVEL = 0.01  # family-wise


class Outcome(StrEnum):
    """What a drift check says of a cell."""

    SAME = "same"
    DRIFTED = "drifted"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Verdict:
    """What became of one cell of the baseline.

    Attributes:
        row: the baseline's row.
        metric: its metric.
        verdict: the outcome.
        reason: how it was decided, or why it could not be.
        before: the baseline's score.
        after: the run's, if it has one.
        p: of the test, before Holm's correction; None where nothing was tested.
    """

    row: str
    metric: str
    verdict: Outcome
    reason: str
    before: Score
    after: Score | None = None
    p: float | None = None

    @property
    def difference(self) -> float | None:
        """After − before."""
        if self.after is None or None in (self.after.value, self.before.value):
            return None
        return self.after.value - self.before.value  # type: ignore[operator]


def compare_with(baseline: Baseline, run: Baseline, level: float = LEVEL) -> list[Verdict]:
    """A verdict for every score that the baseline has.

    Scores whose keys and environments are equal must agree to ROUNDING. Others are tested for a difference, two-sided;
    Holm's procedure keeps the chance that any of the tested cells is called drifted by chance at `level` or below.

    Args:
        baseline: what was.
        run: what is, as `baseline_of` gives it.
        level: the family-wise error rate.
    """
    same_machine = baseline.environment == run.environment
    verdicts = [
        _verdict(baseline, run, row, metric, before, same_machine)
        for row, scores in baseline.scores.items()
        for metric, before in scores.items()
        if before.value is not None
    ]
    tested = [k for k, verdict in enumerate(verdicts) if verdict.p is not None]
    for k, rejected in zip(tested, holm([verdicts[k].p or 0.0 for k in tested], level), strict=True):
        verdicts[k] = replace(verdicts[k], verdict=Outcome.DRIFTED if rejected else Outcome.SAME)
    return verdicts


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between two flat mappings, as "key: old → new"."""
    keys = dict.fromkeys([*before, *after])
    return [f"{key}: {before.get(key)} → {after.get(key)}" for key in keys if before.get(key) != after.get(key)]


def exit_status(verdicts: list[Verdict]) -> int:
    """1 where anything drifted, else 2 where anything can't be compared, else 0."""
    found = {verdict.verdict for verdict in verdicts}
    return 1 if Outcome.DRIFTED in found else 2 if Outcome.NOT_COMPARABLE in found else 0


def _verdict(baseline: Baseline, run: Baseline, row: str, metric: str, before: Score, same_machine: bool) -> Verdict:
    after = run.scores.get(row, {}).get(metric)

    def verdict(found: Outcome, reason: str, p: float | None = None) -> Verdict:
        return Verdict(row, metric, found, reason, before, after, p)

    if after is None:
        return verdict(Outcome.NOT_COMPARABLE, "the run has no such cell")
    if before.value is None or after.value is None:
        return verdict(Outcome.DRIFTED, f"the run has no value: {after.reason}")
    if different := changes(baseline.definitions[metric], run.definitions[metric]):
        return verdict(Outcome.NOT_COMPARABLE, "; ".join(different))
    if before.key == after.key and same_machine:
        agree = math.isclose(before.value, after.value, rel_tol=ROUNDING, abs_tol=1e-12)
        return verdict(
            Outcome.SAME if agree else Outcome.DRIFTED,
            "identical set-up" if agree else "identical set-up, another value",
        )
    fresh = baseline.seeds != run.seeds and row in baseline.trained
    if fresh and not (before.seed_means and after.seed_means):
        return verdict(
            Outcome.NOT_COMPARABLE, "other run seeds, and the interval leaves out how much trainings scatter"
        )
    if fresh and min(len(before.seed_means), len(after.seed_means)) < 2:
        return verdict(Outcome.NOT_COMPARABLE, "other run seeds: two or more a side show how much trainings scatter")
    if before.error is None or after.error is None:
        return verdict(Outcome.NOT_COMPARABLE, "another set-up, and the score has no interval")
    p = _fresh_p(before, after) if fresh else _p(before, after)
    what = (
        "other run seeds" if baseline.seeds != run.seeds else "other machine" if before.key == after.key else "changed"
    )
    return verdict(Outcome.SAME, f"{what}: tested", p)


def _p(before: Score, after: Score) -> float:
    """Two-sided p of a normal test with both scores' standard errors, as if they were independent."""
    return _two_sided(before, after, math.hypot(before.error or 0.0, after.error or 0.0), math.inf)


def _fresh_p(before: Score, after: Score) -> float:
    """Welch's test on the run seeds' means; a side's variance is at least what its images' scatter implies."""
    parts = []
    for score in (before, after):
        means = np.array(list(score.seed_means.values()))
        parts.append((max(float(means.var(ddof=1)) / len(means), (score.error or 0.0) ** 2), len(means) - 1))
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / df for part, df in parts) if variance else math.inf
    return _two_sided(before, after, math.sqrt(variance), freedom)


def _two_sided(before: Score, after: Score, error: float, freedom: float) -> float:
    difference = abs((after.value or 0.0) - (before.value or 0.0))
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    statistic = difference / error
    return float(2 * (norm.sf(statistic) if math.isinf(freedom) else student.sf(statistic, freedom)))
