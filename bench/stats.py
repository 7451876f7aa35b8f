"""Intervals by resampling prompts: several images of one prompt are not independent."""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 10_000


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
    numbers = np.array([value for value, _ in known])
    _, group = np.unique([prompt for _, prompt in known], return_inverse=True)
    sums, counts = np.bincount(group, numbers), np.bincount(group).astype(float)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=RESAMPLES).astype(float)
    means = (drawn @ sums) / (drawn @ counts)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(numbers.mean()), float(low), float(high), len(numbers)
