"""How different an image looks from what the original model draws from the same seed."""

import numpy as np

from erasebench import ImageScores, ImageSet, NotApplicable, ScoringContext, metric, pairs

LEAST = 64  # pixels a side that LPIPS takes


@metric(label="LPIPS erased", better="higher", prompts="concept", packages=("torchmetrics",))
def lpips_erased(images: ImageSet, context: ScoringContext) -> ImageScores:
    """Perceptual distance to the original's image of the same prompt and noise, for prompts that ask for the concept.

    LPIPS with AlexNet (arXiv 1801.03924) by torchmetrics, at least 0: high where something else is drawn; images in
    [-1, 1], 64 pixels a side at least. On the embedded model, whose images AlexNet never saw, it is 1 − cosine of its
    judge's features, in [0, 2]: no LPIPS, and headed "judge".
    """
    return _distances(images, context)


@metric(label="LPIPS others", better="lower", prompts="objects", packages=("torchmetrics",))
def lpips_others(images: ImageSet, context: ScoringContext) -> ImageScores:
    """The same distance for prompts that name other concepts than the erased: low where they stay what they were."""
    return _distances(images, context)


def _distances(images: ImageSet, context: ScoringContext) -> ImageScores:
    if context.row == "original" or context.original is None:
        raise NotApplicable("the original would be compared with itself")
    if context.judge is not None:
        return _by_judge(images, context.original, context)
    network = context.lpips()
    values: list[float | None] = []
    details: list[str | None] = []
    for file, pair in zip(images.files, pairs(images, context.original), strict=True):
        if not isinstance(pair, str) and min(pair[0].shape[:2]) < LEAST:
            pair = f"{file.name}: under {LEAST} pixels a side"
        values.append(None if isinstance(pair, str) else network(*pair))
        details.append(pair if isinstance(pair, str) else None)
    return ImageScores(values, note="torchmetrics, AlexNet", details=details)


def _by_judge(images: ImageSet, original: ImageSet, context: ScoringContext) -> ImageScores:
    judge = context.judge
    place = {(job.prompt_id, job.sample): k for k, job in enumerate(original.jobs)}
    theirs = original.features(judge)[[place[job.prompt_id, job.sample] for job in images.jobs]]
    mine = images.features(judge)
    a, b = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (mine, theirs))
    distances = 1 - (a * b).sum(1)
    unread, scored = iter(images.unreadable(mine)), np.isfinite(distances)
    return ImageScores(
        [float(value) if known else None for value, known in zip(distances, scored, strict=True)],
        note=f"1 − cosine of the features of the {judge.name} {judge.revision[:16]}, in place of LPIPS",
        qualifier=judge.qualifier,
        details=[
            None if known else "the original's image is unscored" if has_features else next(unread)
            for known, has_features in zip(scored, np.isfinite(mine).all(1), strict=True)
        ],
    )
