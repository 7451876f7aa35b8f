"""Kernel distance between drawn and real images."""

import numpy as np

from erasebench import ImageSet, ScoringContext, SetScore, metric
from erasebench.scoring import GROUPS

ROWS = 1024  # of the kernel matrix that are in memory at once


def kernel_sums(x: np.ndarray, y: np.ndarray, x_groups: np.ndarray, y_groups: np.ndarray) -> np.ndarray:
    """Sums of the kernel (x·y/d + 1)³ by group, of shape (x groups, y groups).

    Args:
        x, y: features of shape (n, d) and (m, d).
        x_groups, y_groups: each row's group, from 0.
    """
    sums = np.zeros((x_groups.max() + 1, y_groups.max() + 1))
    member = np.eye(y_groups.max() + 1)[y_groups]
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        kernel = (x[rows] @ y.T / x.shape[1] + 1) ** 3
        np.add.at(sums, x_groups[rows], kernel @ member)
    return sums


def squared_mmd(within_x: float, within_y: float, across: float, n: int, m: int) -> float:
    """The unbiased squared maximum mean discrepancy from sums over different pairs within and all pairs across."""
    return float(within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * across / (n * m))


@metric(label="KID", better="lower", prompts="coco", digits=5, version=2)
def kid(images: ImageSet, context: ScoringContext) -> SetScore:
    """Kernel distance of features of drawn and of real images (arXiv 1801.01401), over all pairs at once.

    No subset is drawn, so that no seed decides; unbiased, so that it may fall below 0. The interval is a jackknife
    over 20 groups of prompts, for these real images. Features as for FID.
    """
    sides = context.distributions(images)
    x, y = sides.drawn, sides.real
    groups = np.zeros(len(x), int) if sides.groups is None else sides.groups
    one = np.zeros(len(y), int)
    own = np.bincount(groups, ((x * x).sum(1) / x.shape[1] + 1) ** 3, minlength=groups.max() + 1)
    pairs = kernel_sums(x, x, groups, groups) - np.diag(own)  # an image with itself is no pair
    across = kernel_sums(x, y, groups, one)[:, 0]
    within_y = kernel_sums(y, y, one, one).sum() - (((y * y).sum(1) / y.shape[1] + 1) ** 3).sum()
    counts = np.bincount(groups)
    value = squared_mmd(pairs.sum(), within_y, across.sum(), len(x), len(y))
    replicates = []
    for g in range(GROUPS) if sides.groups is not None else ():
        rest = pairs.sum() - pairs[g].sum() - pairs[:, g].sum() + pairs[g, g]
        replicates.append(squared_mmd(rest, within_y, across.sum() - across[g], len(x) - int(counts[g]), len(y)))
    return sides.score(value, replicates)
