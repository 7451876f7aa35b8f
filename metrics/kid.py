"""Kernel distance between drawn and real images."""

import numpy as np

from erasebench import ImageSet, ScoringContext, SetScore, metric
from erasebench.scoring import NotApplicable

GROUPS = 20


def squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased squared maximum mean discrepancy with the kernel (x·y/d + 1)³.

    Args:
        x, y: features of shape (n, d) and (m, d).
    """
    import torch
    from torchmetrics.image.kid import poly_mmd

    if len(x) == len(y):
        return float(poly_mmd(torch.from_numpy(x), torch.from_numpy(y)))
    # torchmetrics' kernel sums assume equal counts.
    from torchmetrics.image.kid import poly_kernel

    xx, yy, xy = (poly_kernel(torch.from_numpy(a), torch.from_numpy(b)) for a, b in ((x, x), (y, y), (x, y)))
    n, m = len(x), len(y)
    within = (xx.sum() - xx.diag().sum()) / (n * (n - 1)) + (yy.sum() - yy.diag().sum()) / (m * (m - 1))
    return float(within - 2 * xy.mean())


@metric(label="KID", better="lower", prompts="coco", digits=5)
def kid(images: ImageSet, context: ScoringContext) -> SetScore:
    """Kernel distance of features of drawn and of real images (arXiv 1801.01401), over all of them at once.

    Unbiased, so it may fall below 0. The interval is a jackknife over 20 groups of prompts. Features as for FID.
    """
    if context.reference is None:
        raise NotApplicable("no reference images: give the plan a `reference` folder")
    vision = context.distance()
    drawn = images.features(vision).astype(np.float64)
    real = context.reference.features(vision).astype(np.float64)
    value = squared_mmd(drawn, real)
    order = {prompt: k for k, prompt in enumerate(dict.fromkeys(job.prompt_id for job in images.jobs))}
    groups = np.array([order[job.prompt_id] % GROUPS for job in images.jobs])
    real_groups = np.arange(len(real)) % GROUPS
    low = high = None
    if len(order) >= 2 * GROUPS and len(real) >= 2 * GROUPS:
        left_out = np.array([squared_mmd(drawn[groups != g], real[real_groups != g]) for g in range(GROUPS)])
        error = np.sqrt((GROUPS - 1) / GROUPS * ((left_out - left_out.mean()) ** 2).sum())
        low, high = float(value - 1.96 * error), float(value + 1.96 * error)
    return SetScore(
        value, len(drawn), low, high, note=f"{vision.name} features, {len(drawn)} drawn and {len(real)} real images"
    )
