"""How much an image stays what the original model draws from the same seed."""

from erasebench import ImageScores, ImageSet, ScoringContext, metric
from erasebench.scoring import NotApplicable

WINDOW = 25  # "All but One", section 5


@metric(label="SSIM", better="higher", prompts="objects")
def ssim(images: ImageSet, context: ScoringContext) -> ImageScores:
    """Structural similarity to the original model's image of the same prompt and seed, by scikit-image.

    Window 25, colour channels averaged, uint8 range 255; in [-1, 1]. Prompts name other concepts than the erased.
    """
    from skimage.metrics import structural_similarity

    if context.row == "original" or context.original is None:
        raise NotApplicable("the original would be compared with itself")
    if min(images.arrays[0].shape[:2]) < WINDOW:
        raise NotApplicable(f"images are smaller than the window of {WINDOW} pixels")
    values = [
        float(structural_similarity(mine, original, win_size=WINDOW, channel_axis=-1, data_range=255))
        for mine, original in zip(images.arrays, context.original.arrays, strict=True)
    ]
    return ImageScores(values, note=f"scikit-image, window {WINDOW}")
