"""Kernel distance between drawn and real images."""

import numpy as np

from erasebench import JACKKNIFE_GROUPS, Distributions, ImageSet, NotApplicable, ScoringContext, SetScore, metric

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


def squared_mmd(
    within_x: float, pairs_x: float, within_y: float, pairs_y: float, across: float, pairs_across: float
) -> float:
    """The unbiased squared maximum mean discrepancy from kernel sums and the numbers of their pairs."""
    return float(within_x / pairs_x + within_y / pairs_y - 2 * across / pairs_across)


def dependent_sums(x: np.ndarray, subjects: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernel sums and numbers of pairs of one subject, an image with itself among them, by group: (groups,) each."""
    sums, counts = np.zeros(groups.max() + 1), np.zeros(groups.max() + 1)
    for subject in np.unique(subjects):
        same = np.flatnonzero(subjects == subject)
        group = groups[same[0]]
        sums[group] += ((x[same] @ x[same].T / x.shape[1] + 1) ** 3).sum()
        counts[group] += len(same) ** 2
    return sums, counts


@metric(label="KID", better="lower", prompts="coco", digits=5, version=5)
def kid(images: ImageSet, context: ScoringContext) -> SetScore:
    """Kernel distance of features of drawn and of real images (arXiv 1801.01401), over all pairs at once.

    No subset is drawn, so that no seed decides; unbiased, so that it may fall below 0: pairs of images of one prompt,
    which are not independent, are left out. The mean over trainings; the interval is over them and 20 random groups
    of prompts (a jackknife), for these real images. Features as for FID.
    """
    sides = context.distributions(images)
    y, one = sides.real, np.zeros(len(sides.real), int)
    real_own, real_own_pairs = dependent_sums(y, sides.subjects, one)
    real_sum, real_pairs = kernel_sums(y, y, one, one).sum() - real_own.sum(), len(y) ** 2 - real_own_pairs.sum()

    def measure(part: Distributions) -> tuple[float, list[float]]:
        x, groups = part.drawn, np.zeros(len(part.drawn), int) if part.groups is None else part.groups
        sizes = np.bincount(groups, minlength=JACKKNIFE_GROUPS if part.groups is not None else 1)
        own, own_pairs = dependent_sums(x, part.prompts, groups)
        count = groups.max() + 1
        sums, pairs = np.zeros((len(sizes),) * 2), np.outer(sizes, sizes)
        sums[:count, :count] = kernel_sums(x, x, groups, groups) - np.diag(own)
        pairs[:count, :count] -= np.diag(own_pairs).astype(int)
        across = np.zeros(len(sizes))
        across[:count] = kernel_sums(x, y, groups, one)[:, 0]
        if pairs.sum() == 0 or real_pairs == 0:
            raise NotApplicable("all images of a side are of one prompt")

        def without(g: int | None) -> float:
            kept = np.arange(len(sizes)) != g
            inside = np.ix_(kept, kept)
            own_side = sums[inside].sum(), pairs[inside].sum()
            return squared_mmd(*own_side, real_sum, real_pairs, across[kept].sum(), sizes[kept].sum() * len(y))

        return without(None), [without(g) for g in range(JACKKNIFE_GROUPS)] if part.groups is not None else []

    return sides.score(measure)
