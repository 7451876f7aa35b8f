"""Kernel distance between drawn and real images."""

import numpy as np

from erasebench import JACKKNIFE_GROUPS, Distributions, ImageSet, NotApplicable, ScoringContext, SetScore, metric

BLOCK = 1024  # rows and columns of the kernel matrix that are in memory at once


def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(x·y/d + 1)³ of all pairs, (n, m), for features of shape (n, d) and (m, d)."""
    product = x @ y.T / x.shape[1] + 1
    return product * product * product


def kernel_sums(x: np.ndarray, y: np.ndarray, x_groups: np.ndarray, y_groups: np.ndarray) -> np.ndarray:
    """Sums of the kernel by group, of shape (x groups, y groups); of a set with itself, half the blocks are computed.

    Args:
        x: features of shape (n, d).
        y: features of shape (m, d).
        x_groups: each row's group, from 0.
        y_groups: the same of y.
    """
    in_x, in_y = (np.eye(groups.max() + 1)[groups] for groups in (x_groups, y_groups))
    sums = np.zeros((in_x.shape[1], in_y.shape[1]))
    same = x is y and x_groups is y_groups
    for i in range(0, len(x), BLOCK):
        rows = slice(i, i + BLOCK)
        for j in range(i if same else 0, len(y), BLOCK):
            columns = slice(j, j + BLOCK)
            block = in_x[rows].T @ kernel(x[rows], y[columns]) @ in_y[columns]
            sums += block + block.T if same and i != j else block
    return sums


def squared_mmd(
    within_x: float, pairs_x: float, within_y: float, pairs_y: float, across: float, pairs_across: float
) -> float:
    """The unbiased squared maximum mean discrepancy from kernel sums and the numbers of their pairs."""
    return float(within_x / pairs_x + within_y / pairs_y - 2 * across / pairs_across)


def dependent_sums(x: np.ndarray, subjects: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernel sums and numbers of pairs of one subject, an image with itself among them, by group: (groups,) each."""
    sums, counts = np.zeros(groups.max() + 1), np.zeros(groups.max() + 1)
    order = np.argsort(subjects, kind="stable")
    for same in np.split(order, np.flatnonzero(np.diff(subjects[order])) + 1):
        sums[groups[same[0]]] += kernel(x[same], x[same]).sum()
        counts[groups[same[0]]] += len(same) ** 2
    return sums, counts


@metric(label="KID", better="lower", prompts="coco", digits=5, version=5, looks=("distance",))
def kid(images: ImageSet, context: ScoringContext) -> SetScore:
    """Kernel distance of features of drawn and of real images (arXiv 1801.01401), over all pairs at once.

    No subset is drawn, so that no seed decides; unbiased, so that it may fall below 0: pairs of images of one prompt,
    which are not independent, are left out. The mean over trainings; the interval is over them and 20 random groups
    of prompts (a jackknife), for these real images. Features as for FID.
    """
    sides = context.distributions(images)
    y, one = sides.real, np.zeros(len(sides.real), int)

    def of_real() -> tuple[float, float]:
        own, own_pairs = dependent_sums(y, sides.subjects, one)
        return kernel_sums(y, y, one, one).sum() - own.sum(), len(y) ** 2 - own_pairs.sum()

    real_sum, real_pairs = sides.of_real("kernel sum and pairs", of_real)

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
