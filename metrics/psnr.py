"""How far an image's pixels are from what the original model draws from the same seed."""

import numpy as np

from erasebench import ImageScores, ImageSet, NotApplicable, ScoringContext, Unreadable, metric, read_image

MOST = 100.0  # dB: equal images would have an infinite ratio, and no mean


@metric(label="PSNR", better="higher", prompts="objects", digits=2)
def psnr(images: ImageSet, context: ScoringContext) -> ImageScores:
    """Peak signal-to-noise ratio to the original model's image of the same prompt and noise; in dB, at most 100.

    10·log₁₀(255² / MSE) of uint8 RGB, over pixels and channels: torchmetrics' ratio of each image alone.
    Prompts name other concepts than the erased.
    """
    if context.row == "original" or context.original is None:
        raise NotApplicable("the original would be compared with itself")
    values: list[float | None] = []
    details: list[str | None] = []
    for mine, original in zip(images.files, images.partners(context.original), strict=True):
        a, b = read_image(mine), read_image(original)
        reason = None
        if isinstance(a, Unreadable):
            reason = str(a)
        elif isinstance(b, Unreadable):
            reason = f"the original's {b}"
        elif a.shape != b.shape:
            reason = f"{mine.name}: {a.shape[1]}×{a.shape[0]} pixels, the original's {b.shape[1]}×{b.shape[0]}"
        else:
            values.append(_ratio(a, b))
        if reason is not None:
            values.append(None)
        details.append(reason)
    return ImageScores(values, note=f"uint8, peak 255; at most {MOST:.0f} dB, which equal images have", details=details)


def _ratio(a: np.ndarray, b: np.ndarray) -> float:
    """In dB, of two uint8 images of shape (height, width, 3)."""
    error = float(np.square(a.astype(np.float64) - b).mean())
    return MOST if error == 0 else min(MOST, float(10 * np.log10(255**2 / error)))
