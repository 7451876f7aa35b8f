"""Intervals and paired tests by resampling prompts: several images of one prompt are not independent."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from scipy.stats import t as student

RESAMPLES = 10_000
CHUNK = 500  # resamples in memory at once
LEAST_PROMPTS = 5  # for a paired test: fewer say nothing of other prompts


def _by_prompt(values: np.ndarray, prompts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Each prompt's sum and count."""
    _, group = np.unique(np.asarray(prompts), return_inverse=True)
    return np.bincount(group, values), np.bincount(group).astype(float)


def resampled_means(values: Sequence[float], prompts: Sequence[str], seed: int = 0) -> np.ndarray:
    """RESAMPLES means, each over as many prompts as there are, drawn with replacement."""
    sums, counts = _by_prompt(np.asarray(values, float), prompts)
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, CHUNK):
        chosen = rng.integers(len(counts), size=(CHUNK, len(counts)))
        means[start : start + CHUNK] = sums[chosen].sum(1) / counts[chosen].sum(1)
    return means


def bootstrap_interval(
    values: Sequence[float | None], prompts: Sequence[str], level: float = 0.95, seed: int = 0
) -> tuple[float, float, float, int] | None:
    """Mean, low, high and n of the values that are not None; None where there are none.

    A percentile bootstrap over prompts; its interval is None-free but meaningless for a single prompt, where
    low = high = mean.

    >>> bootstrap_interval([1.0, 1.0, None], ["a", "b", "c"])
    (1.0, 1.0, 1.0, 2)
    """
    known = [(value, prompt) for value, prompt in zip(values, prompts, strict=True) if value is not None]
    if not known:
        return None
    numbers = [value for value, _ in known]
    means = resampled_means(numbers, [prompt for _, prompt in known], seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(np.mean(numbers)), float(low), float(high), len(known)


def clustered_error(values: Sequence[float], prompts: Sequence[str]) -> float:
    """The standard error of the mean of values that come in clusters, the images of one prompt.

    For values of 0 and 1 it is at least that of Agresti and Coull's interval, (x + 2) / (n + 4): a rate of 0 of 30
    images is not known without error.

    >>> clustered_error([0.0, 1.0, 0.0, 1.0], ["a", "b", "c", "d"]) > 0.2
    True
    """
    numbers = np.asarray(values, float)
    sums, counts = _by_prompt(numbers, prompts)
    groups, n = len(counts), len(numbers)
    residuals = sums - numbers.mean() * counts
    variance = groups / (groups - 1) * (residuals**2).sum() / n**2 if groups > 1 else 0.0
    if np.isin(numbers, (0, 1)).all():
        rate = (numbers.sum() + 2) / (n + 4)
        variance = max(variance, rate * (1 - rate) / (n + 4))
    return float(np.sqrt(variance))


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Which hypotheses Holm's step-down procedure rejects; the chance of any false rejection is at most `level`.

    >>> holm([0.001, 0.5, 0.02], 0.05)
    [True, False, True]
    """
    rejected = [False] * len(p_values)
    for place, k in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        if p_values[k] > level / (len(p_values) - place):
            break
        rejected[k] = True
    return rejected


def jackknife_error(replicates: Sequence[float]) -> float:
    """The standard error from values that each leave one of len(replicates) groups out (Efron and Tibshirani, 11.5)."""
    left_out = np.asarray(replicates, float)
    return float(np.sqrt((len(left_out) - 1) / len(left_out) * ((left_out - left_out.mean()) ** 2).sum()))


def jackknife_interval(value: float, replicates: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """An interval around `value`, by Student's t with a degree of freedom less than there are groups."""
    half = student.ppf((1 + level) / 2, len(replicates) - 1) * jackknife_error(replicates)
    return value - float(half), value + float(half)


@dataclass(frozen=True)
class Difference:
    """How two rows differ: a − b with its 95 % interval, two-sided p and the number of pairs."""

    value: float
    low: float
    high: float
    p: float
    n: int
    test: str


def paired_difference(a: Sequence[float], b: Sequence[float], prompts: Sequence[str]) -> Difference | None:
    """The mean of a − b over pairs, with a bootstrap over prompts; None under LEAST_PROMPTS prompts.

    Its p is McNemar's exact one where all values are 0 or 1 and each prompt has one pair, because that test takes
    pairs as independent; otherwise the bootstrap's: twice the smaller share of resampled means beyond 0.
    """
    if len(set(prompts)) < LEAST_PROMPTS:
        return None
    mine, theirs = np.asarray(a, float), np.asarray(b, float)
    differences = mine - theirs
    means = resampled_means(list(differences), prompts)
    low, high = np.quantile(means, [0.025, 0.975])
    binary = np.isin(mine, (0, 1)).all() and np.isin(theirs, (0, 1)).all()
    if binary and len(set(prompts)) == len(prompts):
        more, less = int((differences > 0).sum()), int((differences < 0).sum())
        p = binomtest(more, more + less).pvalue if more + less else 1.0
        test = "McNemar, exact"
    else:
        tails = ((means <= 0).sum() + 1) / (RESAMPLES + 1), ((means >= 0).sum() + 1) / (RESAMPLES + 1)
        p, test = min(1.0, 2 * min(tails)), "paired bootstrap over prompts"
    return Difference(float(differences.mean()), float(low), float(high), float(p), len(differences), test)


def jackknife_difference(
    a: float, b: float, a_replicates: Sequence[float], b_replicates: Sequence[float], n: int
) -> Difference:
    """a − b of two set scores whose replicates leave out the same groups of prompts."""
    value = a - b
    replicates = np.asarray(a_replicates) - np.asarray(b_replicates)
    low, high = jackknife_interval(value, list(replicates))
    error = jackknife_error(list(replicates))
    statistic = abs(value) / error if error > 0 else np.inf if value else 0.0
    p = 2 * float(student.sf(statistic, len(replicates) - 1))
    return Difference(value, low, high, p, n, f"paired jackknife over {len(replicates)} groups of prompts")
