"""Maximum mean discrepancy between CLIP embeddings of drawn and of real images."""

import numpy as np

from erasebench import JACKKNIFE_GROUPS, Distributions, ImageSet, ScoringContext, SetScore, metric

SIGMA, SCALE = 10.0, 1000.0  # arXiv 2401.09603 and its code
BLOCK = 1024  # rows and columns of the kernel matrix that are in memory at once


@metric(label="CMMD", better="lower", prompts="coco", looks=("cmmd",))
def cmmd(images: ImageSet, context: ScoringContext) -> SetScore:
    """1000 · squared maximum mean discrepancy of embeddings of drawn and of real images (arXiv 2401.09603).

    Of embeddings of length 1 by CLIP ViT-L/14 at 336 pixels (OpenAI's weights, by open_clip), with the Gaussian kernel
    exp(−‖x − y‖² / (2 · 10²)); each mean is over all pairs, an image with itself among them, so that it is biased
    upwards in few images and at least 0. On the embedded model the embeddings are its judge's, and the heading says so.
    The mean over trainings; the interval is over them and 20 random groups of prompts (a jackknife), for these real
    images.
    """
    sides = context.distributions(images, encoder=context.encoder("cmmd"))
    real = unit(sides.real)
    within_real = sides.of_real("Gaussian kernel's mean", lambda: kernel_sums(real, real).sum() / len(real) ** 2)

    def measure(part: Distributions) -> tuple[float, list[float]]:
        drawn, count = unit(part.drawn), 1 if part.groups is None else JACKKNIFE_GROUPS
        groups = np.zeros(len(drawn), int) if part.groups is None else part.groups
        member = np.eye(count)[groups]
        within, across, sizes = (
            kernel_sums(drawn, drawn, member, member),
            kernel_sums(drawn, real, member),
            member.sum(0),
        )

        def without(g: int | None) -> float:
            kept = np.arange(count) != g
            n = sizes[kept].sum()
            own = within[np.ix_(kept, kept)].sum() / n**2
            return float(SCALE * (own + within_real - 2 * across[kept].sum() / (n * len(real))))

        return without(None), [without(g) for g in range(count)] if count > 1 else []

    return sides.score(measure, f"; of length 1, Gaussian kernel, σ = {SIGMA:g}, times {SCALE:g}")


def unit(features: np.ndarray) -> np.ndarray:
    """Scaled to length 1, (images, width)."""
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def kernel_sums(
    x: np.ndarray, y: np.ndarray, in_x: np.ndarray | None = None, in_y: np.ndarray | None = None
) -> np.ndarray:
    """Sums of exp(−‖x − y‖² / 2σ²) over pairs, by group of x and of y: (x groups, y groups).

    Args:
        x: embeddings of length 1, (n, width).
        y: the same, (m, width).
        in_x: which image is in which group, (n, groups) of 1 and 0; None for one group of all.
        in_y: the same of y.
    """
    a = np.ones((len(x), 1)) if in_x is None else in_x
    b = np.ones((len(y), 1)) if in_y is None else in_y
    found = np.zeros((a.shape[1], b.shape[1]))
    for i in range(0, len(x), BLOCK):
        for j in range(0, len(y), BLOCK):
            squared = np.clip(2 - 2 * x[i : i + BLOCK] @ y[j : j + BLOCK].T, 0, None)
            found += a[i : i + BLOCK].T @ np.exp(-squared / (2 * SIGMA**2)) @ b[j : j + BLOCK]
    return found
