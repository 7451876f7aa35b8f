"""Fréchet distance between drawn and real images."""

import numpy as np

from erasebench import ImageSet, ScoringContext, SetScore, metric
from erasebench.scoring import NotApplicable

ENOUGH = 2048


@metric(label="FID", better="lower", prompts="coco", digits=2)
def fid(images: ImageSet, context: ScoringContext) -> SetScore:
    """Fréchet distance of Gaussian fits to features of drawn and of real images (arXiv 1706.08500).

    clean-fid's distance; features are clean-fid's Inception, or on the embedded model its judge, which the
    note says. At least 0. Over fewer than 2,048 images it is biased upwards: compare it only within one table.
    """
    from cleanfid.fid import frechet_distance

    if context.reference is None:
        raise NotApplicable("no reference images: give the plan a `reference` folder")
    vision = context.distance()
    drawn = images.features(vision).astype(np.float64)
    real = context.reference.features(vision).astype(np.float64)
    value = frechet_distance(drawn.mean(0), np.cov(drawn, rowvar=False), real.mean(0), np.cov(real, rowvar=False))
    warning = f"; biased, under {ENOUGH} images: prefer KID" if min(len(drawn), len(real)) < ENOUGH else ""
    return SetScore(
        float(value),
        len(drawn),
        note=f"{vision.name} features, {len(drawn)} drawn and {len(real)} real images{warning}",
        qualifier=vision.qualifier,
    )
