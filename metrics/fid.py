"""Fréchet distance between drawn and real images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from erasebench import JACKKNIFE_GROUPS, Distributions, ImageSet, NotApplicable, ScoringContext, SetScore, metric

ENOUGH = 2048


@dataclass(frozen=True)
class Gaussian:
    """A fit to features: the mean (width,), the covariance's trace, and its symmetric square root (width, width)."""

    mean: np.ndarray
    trace: float
    root: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Gaussian:
        """The fit to features of shape (images, width)."""
        covariance = np.cov(features, rowvar=False)
        values, vectors = np.linalg.eigh(covariance)
        root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
        return cls(features.mean(0), float(np.trace(covariance)), root)


def frechet_distances(drawn: np.ndarray, groups: np.ndarray | None, real: Gaussian) -> Iterator[float]:
    """‖μ − μ_r‖² + Tr(Σ + Σ_r − 2 (Σ_r^½ Σ Σ_r^½)^½) (arXiv 1706.08500, equation 6), then without each group.

    Σ_r^½ Σ Σ_r^½ is the covariance of the features times Σ_r^½: they are multiplied once, and what is left without a
    group is the sum of all outer products less the group's.

    Args:
        drawn: features, float64 of shape (images, width).
        groups: each image's group, from 0 to JACKKNIFE_GROUPS − 1; None: nothing is left out.
        real: of the real images.
    """
    mean = drawn.mean(0)
    centred = drawn - mean
    turned = centred @ real.root
    outer, square = turned.T @ turned, (centred**2).sum()

    def distance(out: np.ndarray) -> float:
        n = len(drawn) - len(out)
        shift, inside = -centred[out].sum(0) / n, turned[out]  # of the mean, as what is left out goes
        shifted = shift @ real.root
        covariance = (outer - inside.T @ inside - n * np.outer(shifted, shifted)) / (n - 1)
        trace = (square - (centred[out] ** 2).sum() - n * shift @ shift) / (n - 1)
        cross = np.sqrt(np.clip(np.linalg.eigvalsh(covariance), 0, None)).sum()
        value = ((mean + shift - real.mean) ** 2).sum() + trace + real.trace - 2 * cross
        return max(0.0, float(value))  # rounding may leave a little less than 0

    yield distance(np.array([], int))
    for group in () if groups is None else range(JACKKNIFE_GROUPS):
        yield distance(np.flatnonzero(groups == group))


@metric(label="FID", better="lower", prompts="coco", digits=2, version=4, looks=("distance",))
def fid(images: ImageSet, context: ScoringContext) -> SetScore:
    """Fréchet distance of Gaussian fits to features of drawn and of real images (arXiv 1706.08500).

    Features are clean-fid's Inception, or on the embedded model its judge's, which the note says. At least 0. There is
    none where a training, or the real side, has fewer images than features: their covariance is singular. Under 2,048
    images it is biased upwards: compare it only within one table. The mean over trainings; the interval is over them
    and 20 random groups of prompts (a jackknife), for these real images.
    """
    sides = context.distributions(images)
    features, fewest = sides.real.shape[1], sides.fewest
    if fewest < features:
        whose = "real images" if fewest == len(sides.real) else "images of a training"
        raise NotApplicable(
            f"FID needs as many images as features, {features:,}; there are {fewest:,} {whose}: see KID"
        )
    real = sides.of_real("a Gaussian", lambda: Gaussian.of(sides.real))

    def measure(part: Distributions) -> tuple[float, list[float]]:
        whole, *without = frechet_distances(part.drawn, part.groups, real)
        return whole, without

    return sides.score(measure, f"; biased, under {ENOUGH} images: prefer KID" if fewest < ENOUGH else "")
