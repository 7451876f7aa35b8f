"""Fréchet distance between drawn and real images."""

import numpy as np

from erasebench import JACKKNIFE_GROUPS, Distributions, ImageSet, NotApplicable, ScoringContext, SetScore, metric

ENOUGH = 2048


def root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root of a positive semi-definite matrix."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def frechet_distance(
    mean: np.ndarray, covariance: np.ndarray, real_mean: np.ndarray, real_covariance: np.ndarray, real_root: np.ndarray
) -> float:
    """‖μ − μ_r‖² + Tr(Σ + Σ_r − 2 (Σ_r^½ Σ Σ_r^½)^½) (arXiv 1706.08500, equation 6), given Σ_r^½."""
    values = np.linalg.eigvalsh(real_root @ covariance @ real_root)
    cross = np.sqrt(np.clip(values, 0, None)).sum()
    value = ((mean - real_mean) ** 2).sum() + np.trace(covariance) + np.trace(real_covariance) - 2 * cross
    return max(0.0, float(value))  # rounding may leave a little less than 0


@metric(label="FID", better="lower", prompts="coco", digits=2, version=4)
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
    real_mean, real_covariance = sides.real.mean(0), np.cov(sides.real, rowvar=False)
    real = real_mean, real_covariance, root(real_covariance)

    def distance(drawn: np.ndarray) -> float:
        return frechet_distance(drawn.mean(0), np.cov(drawn, rowvar=False), *real)

    def measure(part: Distributions) -> tuple[float, list[float]]:
        groups = part.groups
        numbers = () if groups is None else range(JACKKNIFE_GROUPS)
        left_out = [distance(part.drawn[groups != group]) for group in numbers]
        return distance(part.drawn), left_out

    return sides.score(measure, f"; biased, under {ENOUGH} images: prefer KID" if fewest < ENOUGH else "")
