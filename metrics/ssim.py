"""How much an image stays what the original model draws from the same seed."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from erasebench import ImageScores, ImageSet, NotApplicable, ScoringContext, Unreadable, metric, pair, read_image

WINDOW = 25  # "All but One", section 5


@metric(label="SSIM", better="higher", prompts="objects", version=2)
def ssim(images: ImageSet, context: ScoringContext) -> ImageScores:
    """Structural similarity to the original model's image of the same prompt and noise, by scikit-image.

    Window 25, colour channels averaged, uint8 range 255; in [-1, 1]. Prompts name other concepts than the erased.
    """
    from skimage.metrics import structural_similarity

    if context.row == "original" or context.original is None:
        raise NotApplicable("the original would be compared with itself")
    with ThreadPoolExecutor(os.cpu_count()) as workers:  # SciPy's filters let go of the interpreter
        found = list(workers.map(_compare(structural_similarity), images.files, images.partners(context.original)))
    if found and all(isinstance(value, str) and "smaller than the window" in value for value in found):
        raise NotApplicable(f"images are smaller than the window of {WINDOW} pixels")
    values = [value if isinstance(value, float) else None for value in found]
    details = [None if isinstance(value, float) else value for value in found]
    return ImageScores(values, note=f"scikit-image, window {WINDOW}{_share(images.files)}", details=details)


def _compare(similarity: Callable[..., float]) -> Callable[[Path, Path], float | str]:
    def compare(mine: Path, original: Path) -> float | str:
        found = pair(mine, original)
        if isinstance(found, str):
            return found
        a, b = found
        if min(a.shape[:2]) < WINDOW:
            return f"{mine.name}: smaller than the window of {WINDOW} pixels"
        return float(similarity(a, b, win_size=WINDOW, channel_axis=-1, data_range=255))

    return compare


def _share(files: Sequence[Path]) -> str:
    """How much of a side the window covers, where that is a quarter or more: on the embedded model 39 %."""
    sides = (min(image.shape[:2]) for file in files if not isinstance(image := read_image(file), Unreadable))
    side = next(sides, 0)
    return f", {WINDOW / side:.0%} of a side" if side and WINDOW / side >= 0.25 else ""
