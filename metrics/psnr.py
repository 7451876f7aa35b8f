"""How far an image's pixels are from what the original model draws from the same seed."""

import numpy as np

from erasebench import ImageScores, ImageSet, NotApplicable, ScoringContext, metric, pairs

MOST = 100.0  # dB: equal images would have an infinite ratio, and no mean


@metric(label="PSNR", better="higher", prompts="objects", digits=2)
def psnr(images: ImageSet, context: ScoringContext) -> ImageScores:
    """Peak signal-to-noise ratio to the original model's image of the same prompt and noise; in dB, at most 100.

    10·log₁₀(255² / MSE) of uint8 RGB, over pixels and channels: torchmetrics' ratio of each image alone.
    Prompts name other concepts than the erased.
    """
    if context.row == "original" or context.original is None:
        raise NotApplicable("the original would be compared with itself")
    found = [pair if isinstance(pair, str) else _ratio(*pair) for pair in pairs(images, context.original)]
    return ImageScores(
        [None if isinstance(value, str) else value for value in found],
        note=f"uint8, peak 255; at most {MOST:.0f} dB, which equal images have",
        details=[value if isinstance(value, str) else None for value in found],
    )


def _ratio(a: np.ndarray, b: np.ndarray) -> float:
    """In dB, of two uint8 images of shape (height, width, 3)."""
    error = float(np.square(a.astype(np.float64) - b).mean())
    return MOST if error == 0 else min(MOST, float(10 * np.log10(255**2 / error)))
