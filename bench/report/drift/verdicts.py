"""Whether a run's scores are still those of a baseline: where the numbers agree, or by a test in pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from scipy.stats import t as student

from ...scoring.statistics import Difference, holm, jackknife_error, paired, paired_set_scores
from .baseline import NO_TRAINING, Baseline, Score

ROUNDING = 1e-6  # relative: what identical set-ups may differ by
# What other machines, packages and thread counts may move a score by: RELATIVE · |score| + ABSOLUTE. docs/trust.md has
# the measurements behind them.
RELATIVE, ABSOLUTE = 1e-3, 1e-4
LEVEL = 0.01  # family-wise
NAMED = 3  # changes that a verdict names


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


class _Untestable(Exception):
    """Two scores that can't be tested for a difference; the message says why."""


def compare_with(baseline: Baseline, run: Baseline, level: float = LEVEL) -> list[Verdict]:
    """A verdict for every score that the baseline has.

    Scores of one meaning are the same where they agree: to ROUNDING where row and environment are the baseline's, to
    RELATIVE and ABSOLUTE elsewhere. Those that are further apart, on another machine or from another training, are
    tested for a difference, two-sided; Holm's procedure keeps the chance that any of the tested cells is called
    drifted by chance at `level` or below.

    Args:
        baseline: what was.
        run: what is, as `baseline_of` gives it.
        level: the family-wise error rate.
    """
    cells = [
        (row, metric, before)
        for row, scores in baseline.scores.items()
        for metric, before in scores.items()
        if before.value is not None
    ]
    verdicts = [_verdict(baseline, run, *cell, level / len(cells)) for cell in cells]
    tested = [k for k, verdict in enumerate(verdicts) if verdict.p is not None]
    for k, p in zip(tested, holm([verdicts[k].p or 0.0 for k in tested]), strict=True):
        verdicts[k] = replace(verdicts[k], verdict=Outcome.DRIFTED if p <= level else Outcome.SAME)
    return verdicts


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between two flat mappings, as "key: old → new"."""
    keys = dict.fromkeys([*before, *after])
    return [f"{key}: {before.get(key)} → {after.get(key)}" for key in keys if before.get(key) != after.get(key)]


def exit_status(verdicts: list[Verdict], allow_not_comparable: bool = False) -> int:
    """1 where anything drifted, else 2 where anything can't be compared (unless that is allowed), else 0."""
    found = {verdict.verdict for verdict in verdicts}
    if Outcome.DRIFTED in found:
        return 1
    return 2 if Outcome.NOT_COMPARABLE in found and not allow_not_comparable else 0


def agree(a: float, b: float) -> bool:
    """Whether two machines' scores are one score.

    >>> agree(0.5860, 0.5861), agree(0.00009, 0.00014), agree(0.58, 0.59)
    (True, True, False)
    """
    return math.isclose(a, b, rel_tol=0, abs_tol=ABSOLUTE + RELATIVE * max(abs(a), abs(b)))


def _verdict(baseline: Baseline, run: Baseline, row: str, metric: str, before: Score, level: float) -> Verdict:
    """One cell's verdict; where it is tested, before Holm's correction, whose strictest level is `level`."""
    after = run.scores.get(row, {}).get(metric)

    def verdict(found: Outcome, reason: str, p: float | None = None) -> Verdict:
        return Verdict(row, metric, found, reason, before, after, p)

    if after is None:
        return verdict(Outcome.NOT_COMPARABLE, "the run has no such cell")
    meaning = run.definitions.get(metric)  # none where no row has a score
    if meaning is not None and (different := changes(baseline.definitions[metric], meaning)):
        return verdict(Outcome.NOT_COMPARABLE, "; ".join(different))
    if before.value is None or after.value is None:
        return verdict(Outcome.DRIFTED, f"the run has no value: {after.reason}")
    changed = changes(baseline.rows.get(row, {}), run.rows.get(row, {}))
    machine = changes(baseline.environment, run.environment)
    if not changed and not machine:
        same = math.isclose(before.value, after.value, rel_tol=ROUNDING, abs_tol=1e-12)
        reason = "identical set-up" if same else "identical set-up, another value"
        return verdict(Outcome.SAME if same else Outcome.DRIFTED, reason)
    what = _named(changed) if changed else f"other machine ({_named(machine)})"
    if agree(before.value, after.value):
        return verdict(Outcome.SAME, f"agrees; {what}")
    try:
        p, test = _test(before, after, level)
    except _Untestable as why:
        return verdict(Outcome.NOT_COMPARABLE, f"{why}; {what}")
    return verdict(Outcome.SAME, f"{test}; {what}", p)


def _named(changed: list[str]) -> str:
    """The first few changes in words."""
    more = len(changed) - NAMED
    return ", ".join(changed[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _test(before: Score, after: Score, level: float) -> tuple[float, str]:
    """Two-sided p for no difference, and what was tested.

    Raises:
        _Untestable: the scores have neither parts to pair nor intervals.
    """
    a, b = before.trainings, after.trainings
    if a and b and a.keys() != b.keys():
        return _other_trainings(before, after)
    pairs = [
        (b[seed].means[cluster], mean, cluster, seed)
        for seed in a
        for cluster, mean in a[seed].means.items()
        if cluster in b[seed].means
    ]
    if pairs:
        now, then, clusters, seeds = (list(column) for column in zip(*pairs, strict=True))
        difference = paired(now, then, clusters, seeds)
        prompts = len({cluster for _, _, cluster, _ in pairs})
        if difference is None or 2.0 ** (1 - prompts) > level:  # the least p that sign flips can give
            raise _Untestable(f"further apart than machines are, and {prompts} prompts are too few for a test")
        return difference.p, difference.test
    if (in_pairs := _sets_in_pairs(before, after)) is not None:
        return in_pairs.p, in_pairs.test
    if before.error is None or after.error is None or before.freedom is None or after.freedom is None:
        raise _Untestable("further apart than machines are, and the score has no interval")
    error, freedom = _together([(before.error**2, before.freedom), (after.error**2, after.freedom)])
    return _two_sided(before, after, error, freedom), "both intervals"


def _sets_in_pairs(before: Score, after: Score) -> Difference | None:
    """The difference of two scores of whole sets by training and group of prompts; None where there are no groups."""
    (now, now_left_out), (then, then_left_out) = _by_training(after), _by_training(before)
    return paired_set_scores(now, then, now_left_out, then_left_out, min(before.n, after.n)) if then else None


def _by_training(score: Score) -> tuple[dict[int | None, float], dict[int | None, list[float]]]:
    """A score's values and replicates by training seed."""
    parts = {None if seed == NO_TRAINING else int(seed): part for seed, part in score.trainings.items()}
    return {seed: part.value for seed, part in parts.items()}, {seed: part.replicates for seed, part in parts.items()}


def _together(parts: list[tuple[float, float]]) -> tuple[float, float]:
    """The standard error of a difference, and its degrees of freedom by Satterthwaite, of variances with theirs."""
    variance = sum(part for part, _ in parts)
    squares = sum(part**2 / freedom for part, freedom in parts)
    return math.sqrt(variance), variance**2 / squares if squares else math.inf


def _other_trainings(before: Score, after: Score) -> tuple[float, str]:
    """Welch's test on the training seeds' values; the variance is at least what the prompts' pairs imply."""
    sides = [np.array([part.value for part in score.trainings.values()]) for score in (before, after)]
    if min(map(len, sides)) < 2:
        raise _Untestable("other training seeds: two or more a side show how much trainings scatter")
    error, freedom = _together([(float(values.var(ddof=1)) / len(values), len(values) - 1) for values in sides])
    over_prompts, pairs = _error_over_prompts(before, after)
    if over_prompts > error:
        error, freedom = over_prompts, pairs - 1
    return _two_sided(before, after, error, freedom), "Welch's test over trainings"


def _error_over_prompts(before: Score, after: Score) -> tuple[float, int]:
    """The standard error of the difference over prompts, trainings being given, and the number of pairs; (0, 0) where
    nothing can be paired."""
    first, second = (_mean_over_trainings(score) for score in (before, after))
    common = [cluster for cluster in first if cluster in second]
    if len(common) > 1:
        apart = np.array([second[cluster] - first[cluster] for cluster in common])
        return float(apart.std(ddof=1) / math.sqrt(len(apart))), len(apart)
    left_out = [np.array([part.replicates for part in score.trainings.values()]) for score in (before, after)]
    if all(array.ndim == 2 and array.size for array in left_out) and left_out[0].shape[1] == left_out[1].shape[1]:
        return jackknife_error(list(left_out[1].mean(0) - left_out[0].mean(0))), left_out[0].shape[1]
    return 0.0, 0


def _mean_over_trainings(score: Score) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for part in score.trainings.values():
        for cluster, mean in part.means.items():
            found.setdefault(cluster, []).append(mean)
    return {cluster: float(np.mean(means)) for cluster, means in found.items()}


def _two_sided(before: Score, after: Score, error: float, freedom: float) -> float:
    difference = abs((after.value or 0.0) - (before.value or 0.0))
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    statistic = difference / error
    return float(2 * student.sf(statistic, freedom))
