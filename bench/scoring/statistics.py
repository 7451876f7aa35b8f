"""Estimates with intervals, paired tests and Holm's correction, over trainings and prompts; docs/statistics.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr
from scipy.stats import t as student

from .crossed import LEAST_TRAININGS, Layout, clopper_pearson, combined_variance, effective_size, mean_variance

LEVEL = 0.95  # of intervals
ENUMERATED = 16  # sign flips of so many clusters are counted one by one
WHOLE = 20_000  # sums of whole numbers up to here are counted exactly
FLIPS, MORE_FLIPS = 10_000, 200_000  # random ones; more where fewer than SELDOM of the first reach the observed sum
SELDOM = 20


@dataclass(frozen=True)
class Estimate:
    """A number of a table, with its 95 % interval.

    Attributes:
        value: the mean over images, or a set's score.
        low, high: the interval; None where none can be given.
        error: the standard error; None likewise.
        freedom: the error's degrees of freedom; None likewise.
        n: images.
        clusters: of prompts; prompts of one cluster are not independent.
        seeds: trainings.
        covers: in words, what the interval is over, or why there is none.
    """

    value: float
    low: float | None
    high: float | None
    error: float | None
    freedom: float | None
    n: int
    clusters: int
    seeds: int
    covers: str


@dataclass(frozen=True)
class Difference:
    """How two rows differ: a − b with its 95 % interval (None where none can be given), two-sided p, pairs, test."""

    value: float
    low: float | None
    high: float | None
    p: float
    n: int
    test: str


def estimate(
    values: Sequence[float | None],
    clusters: Sequence[str],
    seeds: Sequence[int | None],
    rate: bool = False,
    of: str = "prompts",
) -> Estimate | None:
    """The mean of the values that are not None, with its interval; None where there are none.

    Args:
        values: one an image, None for an unscored one.
        clusters: each image's cluster of prompts.
        seeds: each image's training seed; None for a model that was not trained.
        rate: whether a value is 1 or 0, found or not: Korn and Graubard's interval, else Student's t.
        of: what the clusters are, in words.

    >>> found = estimate([0.0] * 96, [f"p{k % 32}" for k in range(96)], [k // 32 for k in range(96)], rate=True)
    >>> found.low, round(found.high, 2), found.covers
    (0.0, 0.11, '3 trainings × 32 prompts')
    """
    known = [place for place, value in enumerate(values) if value is not None]
    if not known:
        return None
    kept = [seeds[place] for place in known]
    layout = Layout.of([values[place] or 0.0 for place in known], [clusters[place] for place in known], kept)
    value, n, (trainings, groups) = layout.mean, len(known), layout.sums.shape
    none = Estimate(value, None, None, None, None, n, groups, trainings, "")
    if groups < 2:
        return _without(none, f"no interval: one of {of}")
    variance, freedom = mean_variance(layout.residuals())
    covers = coverage(groups, of, trainings, trained=kept[0] is not None)
    if not rate:
        if variance <= _rounding(value):
            return _without(none, "no interval: all values are equal")
        half = float(student.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(variance))
        bounds = value - half, value + half
        return Estimate(value, *bounds, float(np.sqrt(variance)), float(freedom), n, groups, trainings, covers)
    size = effective_size(np.asarray(value), variance, freedom, n, groups)
    low, high = clopper_pearson(np.asarray(value), size)
    pulled = (value * size + 2) / (size + 4)  # Agresti and Coull: 0 of n is not known without error
    error = np.sqrt(np.maximum(variance, pulled * (1 - pulled) / (size + 4)))
    return Estimate(value, float(low), float(high), float(error), float(freedom), n, groups, trainings, covers)


def _rounding(value: float) -> float:
    """A variance up to which values count as equal."""
    return (1e-12 * max(1.0, abs(value))) ** 2


def _without(found: Estimate, reason: str) -> Estimate:
    return Estimate(found.value, None, None, None, None, found.n, found.clusters, found.seeds, reason)


def coverage(clusters: int, of: str, trainings: int, trained: bool = True) -> str:
    """What an interval is over, in words.

    >>> coverage(32, "prompts", 3), coverage(32, "prompts", 1), coverage(32, "prompts", 1, trained=False)
    ('3 trainings × 32 prompts', 'this training only, 32 prompts', '32 prompts')
    """
    if not trained:
        return f"{clusters} {of}"
    if trainings >= LEAST_TRAININGS:
        return f"{trainings} trainings × {clusters} {of}"
    return f"{'this training' if trainings == 1 else f'these {trainings} trainings'} only, {clusters} {of}"


def combine_set_scores(
    values_by_seed: Mapping[int | None, float], replicates_by_seed: Mapping[int | None, Sequence[float]], n: int
) -> Estimate:
    """The mean over trainings of a set's score, such as FID, with its interval.

    The crossed layout with groups of prompts as clusters: a training's jackknife pseudo-values (Efron and Tibshirani,
    11.5) are its cells, so that the groups' part is the jackknife variance of the mean; the spread of the trainings'
    own values is the trainings' part.

    Args:
        values_by_seed: the score of each training.
        replicates_by_seed: for each training its score without one of the groups each, the same groups for all; empty
            where there are too few prompts for groups.
        n: images.
    """
    seeds = list(values_by_seed)
    values = np.array([values_by_seed[seed] for seed in seeds])
    value, groups = float(values.mean()), min(len(replicates_by_seed.get(seed, ())) for seed in seeds)
    if groups < 2:
        reason = "no interval: too few prompts for a jackknife"
        return Estimate(value, None, None, None, None, n, groups, len(seeds), reason)
    variance, freedom = _set_variance(values, np.array([replicates_by_seed[seed] for seed in seeds]))
    half = float(student.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(variance))
    covers = coverage(groups, "groups of prompts", len(seeds), trained=seeds[0] is not None)
    return Estimate(
        value, value - half, value + half, float(np.sqrt(variance)), float(freedom), n, groups, len(seeds), covers
    )


def _set_variance(values: np.ndarray, replicates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance and degrees of freedom of the mean of set scores (trainings,) with replicates (trainings, groups)."""
    trainings, groups = replicates.shape
    cells = -(groups - 1) * (replicates - replicates.mean(1, keepdims=True))  # pseudo-values, less the training's mean
    if trainings < LEAST_TRAININGS:
        return mean_variance(cells)
    by_group = cells.mean(0)
    between_groups = trainings * (by_group**2).sum() / (groups - 1)
    residual = ((cells - by_group) ** 2).sum() / ((trainings - 1) * (groups - 1))
    return combined_variance(groups * values.var(ddof=1), between_groups, residual, trainings, groups)


def paired(
    a: Sequence[float], b: Sequence[float], clusters: Sequence[str], seeds: Sequence[int | None], of: str = "prompts"
) -> Difference | None:
    """The mean of a − b over pairs of the same prompt, sample and training; None under two clusters.

    p is of sign flips over clusters: which of the two rows is which is exchanged for whole clusters. It is exact where
    sums are whole numbers or can be counted; with one image a cluster of 1 or 0 it is McNemar's exact test. With
    LEAST_TRAININGS trainings or more, which are a sample too, a t test of the crossed layout must agree: p is the
    larger of the two. The interval is the crossed layout's t; where values are 1 or 0, Agresti and Min's (2005), with
    the effective number of pairs.
    """
    differences = np.asarray(a, float) - np.asarray(b, float)
    layout = Layout.of(list(differences), clusters, seeds)
    trainings, groups = layout.sums.shape
    if groups < 2:
        return None
    binary = bool(np.isin(np.concatenate([a, b]), (0, 1)).all())
    variance, freedom = mean_variance(layout.residuals())
    centre, error = layout.mean, float(np.sqrt(variance)) if variance > _rounding(layout.mean) else 0.0
    if binary:
        centre, error = _agresti_min(differences, float(variance), groups)
    p = sign_flip_p(layout.sums.sum(0))
    test = f"sign flips over {groups} {of}"
    if binary and len(differences) == groups:
        test = "McNemar, exact"
    if trainings >= LEAST_TRAININGS:
        test = f"sign flips over {groups} {of} and t over {trainings} trainings × {groups} {of}, the larger p"
        if error > 0:
            p = max(p, 2 * float(student.sf(abs(centre) / error, freedom)))
    half = float(student.ppf((1 + LEVEL) / 2, freedom)) * error
    low, high = (centre - half, centre + half) if error > 0 else (None, None)
    if binary and low is not None and high is not None:
        low, high = max(low, -1.0), min(high, 1.0)
    return Difference(layout.mean, low, high, p, len(differences), test)


def _agresti_min(differences: np.ndarray, variance: float, clusters: int) -> tuple[float, float]:
    """Centre and standard error of a difference of paired rates: half a pair is added to each of the four outcomes.

    The pairs count as so many independent ones as have the crossed layout's variance.
    """
    more, less = float((differences > 0).mean()), float((differences < 0).mean())
    spread = more + less - (more - less) ** 2
    size = min(spread / variance, len(differences)) if variance > 0 else len(differences) if spread > 0 else clusters
    total, difference = size + 2, (more - less) * size
    return difference / total, float(np.sqrt((more + less) * size + 1 - difference**2 / total) / total)


def sign_flip_p(sums: np.ndarray, seed: int = 0) -> float:
    """Two-sided p of Σ sums when each sign is as likely as the other: the share of flips at least as far from 0.

    >>> sign_flip_p(np.array([1.0, 1.0, 1.0, 1.0]))
    0.125
    """
    nonzero = sums[np.abs(sums) > 1e-12]
    if len(nonzero) == 0:
        return 1.0
    whole = np.rint(np.abs(nonzero)).astype(int)
    observed = abs(float(nonzero.sum())) * (1 - 1e-9)
    if np.allclose(whole, np.abs(nonzero), atol=1e-9) and whole.sum() <= WHOLE:
        return _exact_p(whole, round(abs(float(nonzero.sum()))))
    if len(nonzero) <= ENUMERATED:
        flipped = np.zeros(1)
        for size in nonzero:
            flipped = np.concatenate([flipped + size, flipped - size])
        return float((np.abs(flipped) >= observed).mean())
    rng, beyond, tried = np.random.default_rng(seed), 0, 0
    while tried < FLIPS or (beyond < SELDOM and tried < MORE_FLIPS):
        signs = rng.integers(0, 2, (FLIPS // 10, len(nonzero)), dtype=np.int8)
        beyond += int((np.abs(2 * (signs @ nonzero) - nonzero.sum()) >= observed).sum())
        tried += len(signs)
    return (beyond + 1) / (tried + 1)


def _exact_p(sizes: np.ndarray, observed: int) -> float:
    """P(|Σ ± size| ≥ observed) for whole numbers, by the distribution of the sum of the positive ones."""
    total = int(sizes.sum())
    chance = np.zeros(total + 1)
    chance[0] = 1.0
    for size in sizes:
        chance[size:], chance[:size] = (chance[size:] + chance[: total + 1 - size]) / 2, chance[:size] / 2
    reached = np.abs(2 * np.arange(total + 1) - total) >= observed
    return min(1.0, float(chance[reached].sum()))


def paired_set_scores(
    a: Mapping[int | None, float],
    b: Mapping[int | None, float],
    a_replicates: Mapping[int | None, Sequence[float]],
    b_replicates: Mapping[int | None, Sequence[float]],
    n: int,
) -> Difference | None:
    """a − b of two set scores over the trainings that both have, whose replicates leave out the same groups of prompts.

    None where there are no such trainings, or no groups.
    """
    seeds = [seed for seed in a if seed in b]
    lengths = {len(replicates.get(seed, ())) for replicates in (a_replicates, b_replicates) for seed in seeds}
    if len(lengths) != 1 or min(lengths) < 2:
        return None
    values = {seed: a[seed] - b[seed] for seed in seeds}
    replicates = {
        seed: list(np.asarray(a_replicates[seed], float) - np.asarray(b_replicates[seed], float)) for seed in seeds
    }
    found = combine_set_scores(values, replicates, n)
    error, freedom = found.error or 0.0, found.freedom or 1.0
    statistic = abs(found.value) / error if error > 0 else np.inf if found.value else 0.0
    p = 2 * float(student.sf(statistic, freedom))
    return Difference(found.value, found.low, found.high, p, n, f"paired jackknife over {found.covers}")


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: at most `level` where a step-down test at that family-wise level rejects.

    >>> holm([0.001, 0.5, 0.02])
    [0.003, 0.5, 0.04]
    """
    adjusted, highest = [1.0] * len(p_values), 0.0
    for place, k in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        highest = max(highest, min(1.0, p_values[k] * (len(p_values) - place)))
        adjusted[k] = highest
    return adjusted


def jackknife_error(replicates: Sequence[float]) -> float:
    """The standard error from values that each leave one of len(replicates) groups out (Efron and Tibshirani, 11.5)."""
    left_out = np.asarray(replicates, float)
    return float(np.sqrt((len(left_out) - 1) / len(left_out) * ((left_out - left_out.mean()) ** 2).sum()))


def error_of_mean(values: np.ndarray) -> np.ndarray:
    """The squared standard error of means over levels and draws, for values of shape (…, levels, draws).

    >>> float(error_of_mean(np.array([[1.0, 3.0], [11.0, 13.0]])))  # variance 2 within, 4 draws
    0.5
    """
    levels, draws = values.shape[-2:]
    if draws < 2:
        return np.full(values.shape[:-2], np.nan)
    squared: np.ndarray = values.var(-1, ddof=1).mean(-1) / (levels * draws)
    return squared


def rank_correlation(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> float | None:
    """Spearman's ρ in [-1, 1]; None for fewer than three pairs or where one side is constant.

    >>> rank_correlation([1, 2, 3], [10, 20, 30])
    1.0
    """
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first, second).statistic)
