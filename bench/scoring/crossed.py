"""The crossed layout training × prompt: the variance of a mean when both trainings and prompts are samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta
from scipy.stats import t as student

LEAST_TRAININGS = 3  # of two trainings the spread has one degree of freedom: such intervals cover too seldom

ROUNDING = 1e-9  # relative


@dataclass(frozen=True)
class Layout:
    """Values by training and cluster of prompts.

    Attributes:
        sums: of the values in a cell, (trainings, clusters).
        counts: how many those are, (trainings, clusters); 0 where a cell is missing.
    """

    sums: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, values: Sequence[float], clusters: Sequence[str], seeds: Sequence[int | None]) -> Layout:
        """The layout of one value an image; all images without a training seed are one row."""
        columns, column = np.unique(np.asarray(clusters, str), return_inverse=True)
        rows, row = np.unique(np.asarray([str(seed) for seed in seeds]), return_inverse=True)
        cell, shape = row * len(columns) + column, (len(rows), len(columns))
        sums = np.bincount(cell, np.asarray(values, float), minlength=len(rows) * len(columns))
        return cls(sums.reshape(shape), np.bincount(cell, minlength=sums.size).reshape(shape).astype(float))

    @property
    def mean(self) -> float:
        """The mean over images."""
        return float(self.sums.sum() / self.counts.sum())

    def residuals(self) -> np.ndarray:
        """What each cell adds to the mean's error, (trainings, clusters), with mean 0.

        In a balanced layout the cell means less the mean; otherwise the linearised ratio of sums and counts.
        """
        return (self.sums - self.mean * self.counts) * self.counts.size / self.counts.sum()


def mean_variance(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The variance of the mean of cells (…, trainings, clusters), and its degrees of freedom, both of shape (…).

    max(MS_training + MS_cluster − MS_residual, MS_cluster) / cells, with Satterthwaite's degrees of freedom: trainings
    and clusters are both samples. Under LEAST_TRAININGS trainings, MS_cluster / cells and clusters − 1: these trainings
    are given, the clusters alone are a sample.
    """
    trainings, clusters = cells.shape[-2:]
    mean = cells.mean((-2, -1), keepdims=True)
    by_training, by_cluster = cells.mean(-1, keepdims=True), cells.mean(-2, keepdims=True)
    between_clusters = trainings * ((by_cluster - mean) ** 2).sum((-2, -1)) / (clusters - 1)
    given = np.full(between_clusters.shape, clusters - 1.0)
    if trainings < LEAST_TRAININGS:
        return between_clusters / (trainings * clusters), given
    between_trainings = clusters * ((by_training - mean) ** 2).sum((-2, -1)) / (trainings - 1)
    freedom = (trainings - 1) * (clusters - 1)
    residual = ((cells - by_training - by_cluster + mean) ** 2).sum((-2, -1)) / freedom
    return combined_variance(between_trainings, between_clusters, residual, trainings, clusters)


def combined_variance(
    between_trainings: np.ndarray, between_clusters: np.ndarray, residual: np.ndarray, trainings: int, clusters: int
) -> tuple[np.ndarray, np.ndarray]:
    """The variance of the mean from the three mean squares, and its degrees of freedom by Satterthwaite.

    Where trainings scatter less than the residual explains, they add nothing: MS_cluster, with clusters − 1. Just as
    much, such as a single hit, is not less: with the freedom of the clusters such intervals would cover too seldom.
    """
    total = np.asarray(between_trainings + between_clusters - residual)
    parts = (
        (between_trainings, trainings - 1),
        (between_clusters, clusters - 1),
        (residual, (trainings - 1) * (clusters - 1)),
    )
    squares = sum(part**2 / freedom for part, freedom in parts)
    alike = total < between_clusters * (1 - ROUNDING)
    freedom = np.where(alike, clusters - 1.0, total**2 / np.where(squares > 0, squares, 1.0))
    return np.where(alike, between_clusters, total) / (trainings * clusters), freedom


def effective_size(
    rate: np.ndarray, variance: np.ndarray, freedom: np.ndarray, n: int, clusters: int, level: float = 0.95
) -> np.ndarray:
    """How many independent images would know a rate as well (Korn and Graubard 1998): n / deff, at most n.

    Reduced for the degrees of freedom by (t_{n−1} / t_freedom)². All values equal: as many as there are clusters.
    """
    spread = rate * (1 - rate)
    ratio = student.ppf((1 + level) / 2, max(n - 1, 1)) / student.ppf((1 + level) / 2, freedom)
    known = np.where(variance > 0, spread / np.where(variance > 0, variance, 1.0), float(n))
    return np.where(spread > 0, np.minimum(known * ratio**2, n), float(clusters))


def clopper_pearson(rate: np.ndarray, size: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Clopper and Pearson's interval of a rate among `size` independent images, which need not be whole.

    >>> low, high = clopper_pearson(np.array(0.0), np.array(32.0))
    >>> float(low), round(float(high), 3)
    (0.0, 0.109)
    """
    hits, tail = rate * size, (1 - level) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(rate > 0, beta.ppf(tail, hits, size - hits + 1), 0.0)
        high = np.where(rate < 1, beta.ppf(1 - tail, hits + 1, size - hits), 1.0)
    return low, high
