"""Kernel distance between drawn and real images."""

import numpy as np

from erasebench import ImageSet, ScoringContext, SetScore, metric
from erasebench.scoring import NotApplicable

GROUPS = 20


def squared_mmd(x: np.ndarray, y: np.ndarray, dependent: np.ndarray | None = None) -> float:
    """The unbiased squared maximum mean discrepancy with the kernel (x·y/d + 1)³.

    Args:
        x, y: features of shape (n, d) and (m, d).
        dependent: bool of shape (n, m), True for pairs that are not independent; the cross term leaves them out.
    """
    import torch
    from torchmetrics.image.kid import poly_kernel

    xx, yy, xy = (poly_kernel(torch.from_numpy(a), torch.from_numpy(b)) for a, b in ((x, x), (y, y), (x, y)))
    n, m = len(x), len(y)
    within = (xx.sum() - xx.diag().sum()) / (n * (n - 1)) + (yy.sum() - yy.diag().sum()) / (m * (m - 1))
    across = xy.mean() if dependent is None else xy[torch.from_numpy(~dependent)].mean()
    return float(within - 2 * across)


@metric(label="KID", better="lower", prompts="coco", digits=5)
def kid(images: ImageSet, context: ScoringContext) -> SetScore:
    """Kernel distance of features of drawn and of real images (arXiv 1801.01401), over all of them at once.

    Unbiased, so it may fall below 0; a drawn image is never compared with the real image of its own caption,
    which is no independent sample. The interval is a jackknife over 20 groups of prompts. Features as for FID.
    """
    if context.reference is None:
        raise NotApplicable("no reference images: give the plan a `reference` folder")
    vision = context.distance()
    drawn = images.features(vision).astype(np.float64)
    real = context.reference.features(vision).astype(np.float64)
    captions = np.array([job.prompt_id for job in images.jobs])
    real_captions = np.array([job.prompt_id for job in context.reference.jobs] or [""] * len(real))
    dependent = captions[:, None] == real_captions
    value = squared_mmd(drawn, real, dependent)
    order = {prompt: k for k, prompt in enumerate(dict.fromkeys(captions))}
    groups = np.array([order[caption] % GROUPS for caption in captions])
    real_groups = np.array([order.get(caption, k) % GROUPS for k, caption in enumerate(real_captions)])
    low = high = None
    if len(order) >= 2 * GROUPS and len(real) >= 2 * GROUPS:
        left_out = np.array([_without(g, drawn, real, groups, real_groups, dependent) for g in range(GROUPS)])
        error = np.sqrt((GROUPS - 1) / GROUPS * ((left_out - left_out.mean()) ** 2).sum())
        low, high = float(value - 1.96 * error), float(value + 1.96 * error)
    note = f"{vision.name} features, {len(drawn)} drawn and {len(real)} real images"
    return SetScore(value, len(drawn), low, high, note, vision.qualifier)


def _without(
    group: int, x: np.ndarray, y: np.ndarray, x_groups: np.ndarray, y_groups: np.ndarray, dependent: np.ndarray
) -> float:
    """The discrepancy without one group of prompts."""
    rows, columns = x_groups != group, y_groups != group
    return squared_mmd(x[rows], y[columns], dependent[np.ix_(rows, columns)])
